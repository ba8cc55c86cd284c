# SPDX-License-Identifier: MIT
# Read by the tests: what systems.txt and KNOWN say.  Needs $here, this folder.

all="pairs-tcp4 pairs-udp4 pairs-tcp46 pairs-udp46 timewait connected changes errors"

# systems: PROFILE TRUTH FLAGS FAMILY..., with the sets of families replaced by their members.
systems()
{
	awk -v all="$all" '
		/^#/ || NF < 4 { next }
		{
			line = $1 " " $2 " " $3
			for (i = 4; i <= NF; i++)
				line = line " " families($i)
			print line
		}
		function families(name,    part, n, i, list) {
			if (name == "all")
				return all
			if (name == "apart")
				return "pairs-tcp4 pairs-udp4 pairs-tcp46 pairs-udp46 timewait connected changes"
			if (name != "lb")
				return name
			n = split("pairs-tcp4 pairs-udp4 timewait connected changes", part, " ")
			for (i = 1; i <= n; i++)
				list = list " lb-" part[i]
			return list
		}' "$here/systems.txt"
}

# unexplained WHERE PROFILE USED <DIFFERENCES: those that KNOWN does not excuse.  DIFFERENCES are lines of
# SCENARIO <tab> STEP <tab> OPERATION...; the numbers of the lines of KNOWN that excuse one are added to USED.
unexplained()
{
	awk -F '\t' -v where="$1" -v profile="$2" -v used="$3" '
		function pattern(glob) {
			gsub(/[][.+^$(){}|\\]/, "\\\\&", glob)
			gsub(/\*/, ".*", glob)
			gsub(/\?/, ".", glob)
			return "^" glob "$"
		}
		FILENAME == ARGV[1] {
			if (/^#/ || split($0, word, " ") < 5)
				next
			if ((word[1] == where || word[1] == "both") && profile ~ pattern(word[2])) {
				scenario[++known] = pattern(word[3])
				operation[known] = word[4]
				line[known] = FNR
			}
			next
		}
		{
			split($3, word, " ")
			for (i = 1; i <= known; i++)
				if ($1 ~ scenario[i] && word[1] == operation[i]) {
					print line[i] >>used
					next
				}
			print
		}' "$here/KNOWN" -
}
