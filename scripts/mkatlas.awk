# SPDX-License-Identifier: MIT
# mkatlas.awk ATLAS.CSS ATLAS.JS ATLAS.HTML > atlas_page.c
#
# The page as C strings: a line `@atlas.css@' or `@atlas.js@' becomes that file, without the comment that names its
# licence; at the line `@data@' the page is cut in two.

function name_of(path)
{
	sub(/.*\//, "", path)
	return path
}

function put(line)
{
	gsub(/\\/, "&&", line)
	gsub(/"/, "\\\"", line)
	printf "\t\"%s\\n\",\n", line
}

function put_file(name, count, line, i)
{
	if (!(name in lines)) {
		print FILENAME ":" FNR ": there is no file " name > "/dev/stderr"
		exit 1
	}
	count = split(lines[name], line, "\n")
	for (i = 1; i < count; i++)
		put(line[i])
}

BEGIN {
	print "/* Made by scripts/mkatlas.awk. */"
	print "#include \"cmd/atlas.h\"\n\n#include <stddef.h>\n"
	print "const char *const atlas_before[] = {"
}

FILENAME !~ /\.html$/ {
	if (!/SPDX-License-Identifier/)
		lines[name_of(FILENAME)] = lines[name_of(FILENAME)] $0 "\n"
	next
}

/^@data@$/ {
	print "\tNULL\n};\n\nconst char *const atlas_after[] = {"
	next
}

/^@.*@$/ {
	put_file(substr($0, 2, length($0) - 2))
	next
}

!/SPDX-License-Identifier/ { put($0) }

END { print "\tNULL\n};" }
