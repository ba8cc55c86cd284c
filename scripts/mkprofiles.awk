# SPDX-License-Identifier: MIT
# mkprofiles.awk RULES.H TRAITS.DEF PROFILE.conf ... > profiles.c
#
# A profile text is lines of KEY = VALUE under [profile] and [traits]; '#' starts a comment line, a ';'
# after a blank a comment.  cmd/profile_text.c reads the same texts at run time.
#   [profile]  name title tier sources   needed
#              family                    needed, unless it has a base
#              base                      a profile whose family, traits and limits are taken over
#              alias                     another name; may be repeated
#              limits                    what cannot be imitated; may be repeated
#   [traits]   one line for each trait that differs from the base or the default (traits.def)
# A mistake is reported as FILE:LINE, and nothing is written.
# The comment right above a trait in traits.def is what `fakebind profiles show` says about it.

function fail(message)
{
	fail_at(FILENAME ":" FNR, message)
}

function fail_at(where, message)
{
	print where ": " message > "/dev/stderr"
	failed = 1
}

function trim(text)
{
	gsub(/^[ \t]+|[ \t\r]+$/, "", text)
	return text
}

function joined(list, word)
{
	return list == "" ? word : list " " word
}

function comment_text(token)
{
	gsub(/^\/\*[ \t]*|[ \t]*\*\/$/, "", token)
	gsub(/[ \t]*\n[ \t]*(\*[ \t]*)?/, " ", token)
	return token
}

# "name, TRAIT_WORD(name, word) ..." out of the text of traits.def.  A comment speaks of the traits up to
# the next blank line or comment.
function read_traits(text, token, part, comment)
{
	while (match(text, /\/\*([^*]|\*+[^*\/])*\*+\/|\n[ \t]*\n|TRAIT(_WORD|_NUMBER)?\([ \t]*[a-z0-9_]+([ \t]*,[ \t]*[a-z0-9_]+[ \t]*\))?/)) {
		token = substr(text, RSTART, RLENGTH)
		# A newline may be the end of one blank line and the beginning of the next.
		text = substr(text, RSTART + RLENGTH - (token ~ /^\n/))
		if (token !~ /^TRAIT/) {
			comment = token ~ /^\n/ ? "" : comment_text(token)
			continue
		}
		split(token, part, /[(),][ \t]*/)
		if (token ~ /^TRAIT_WORD/) {
			trait_words[part[2]] = joined(trait_words[part[2]], part[3])
			continue
		}
		trait_name[++trait_count] = part[2]
		trait_meaning[part[2]] = comment
		is_number[part[2]] = token ~ /^TRAIT_NUMBER/
		trait_list = joined(trait_list, part[2])
	}
}

function one_of(word, list,    part, n, i)
{
	n = split(list, part, " ")
	for (i = 1; i <= n; i++)
		if (part[i] == word)
			return 1
	return 0
}

function profile_key(key, value)
{
	if (!one_of(key, "name title family tier sources base alias limits"))
		fail("unknown key '" key "': expected name, title, family, tier, sources, base, alias or limits")
	else if (key != "alias" && key != "limits" && (current, key) in text_of)
		fail("'" key "' is given twice")
	else if (value == "")
		fail("'" key "' has no value")
	else if (key == "tier" && !one_of(value, "measured source documented"))
		fail("unknown tier '" value "': expected measured, source or documented")
	else if (key == "family" && !one_of(value, families))
		fail("unknown family '" value "': expected one of: " families)
	else if ((key == "name" || key == "alias") && (value !~ /^[a-z0-9][a-z0-9._-]*$/ || length(value) > 48))
		fail("'" value "' is no profile name: expected up to 48 lower-case letters, digits, '.', '-' and '_'")
	else if (key == "name" || key == "alias")
		claim_name(value)
	line_of[current, key] = FILENAME ":" FNR
	if (key == "alias")
		text_of[current, key] = joined(text_of[current, key], value)
	else if (key == "limits" && (current, key) in text_of)
		text_of[current, key] = text_of[current, key] "\n" value
	else
		text_of[current, key] = value
}

function claim_name(value)
{
	if (value in profile_of)
		fail("the name '" value "' is taken by " file_of[profile_of[value]])
	profile_of[value] = current
}

function trait_key(key, value)
{
	if (!one_of(key, trait_list))
		fail("unknown trait '" key "': expected one of: " trait_list)
	else if ((current, key) in trait_of)
		fail("'" key "' is given twice")
	else if (is_number[key] && (value !~ /^[0-9]+$/ || value + 0 > 4294967295))
		fail("'" key "' is '" value "': expected a number up to 4294967295")
	else if (!is_number[key] && !one_of(value, trait_words[key]))
		fail("'" key "' is '" value "': expected one of: " trait_words[key])
	trait_of[current, key] = value
}

# Family and traits of the base, the base's own base first.
function inherit(profile, depth,    base, i, key, own)
{
	if (!((profile, "base") in text_of) || done[profile])
		return
	base = text_of[profile, "base"]
	if (!(base in profile_of) || depth > profile_count) {
		fail_at(line_of[profile, "base"], depth > profile_count ? "the base leads back to itself" : "there is no profile '" base "'")
		return
	}
	base = profile_of[base]
	inherit(base, depth + 1)
	if (!((profile, "family") in text_of) && (base, "family") in text_of)
		text_of[profile, "family"] = text_of[base, "family"]
	else if (text_of[profile, "family"] != text_of[base, "family"])
		fail_at(line_of[profile, "family"], "the base is of family " text_of[base, "family"])
	if ((base, "limits") in text_of) {
		own = (profile, "limits") in text_of ? "\n" text_of[profile, "limits"] : ""
		text_of[profile, "limits"] = text_of[base, "limits"] own
	}
	for (i = 1; i <= trait_count; i++) {
		key = trait_name[i]
		if (!((profile, key) in trait_of) && (base, key) in trait_of)
			trait_of[profile, key] = trait_of[base, key]
	}
	done[profile] = 1
}

function check(profile,    part, n, i)
{
	n = split("name title family tier sources", part, " ")
	for (i = 1; i <= n; i++)
		if (!((profile, part[i]) in text_of))
			fail_at(file_of[profile] ":1", "'" part[i] "' is missing")
}

function quoted(text)
{
	gsub(/\\/, "&&", text)
	gsub(/"/, "\\\"", text)
	gsub(/\n/, "\\n", text)
	return "\"" text "\""
}

function write_profile(profile,    i, key, value)
{
	print "\t{"
	print "\t\t.name = " quoted(text_of[profile, "name"]) ","
	print "\t\tPEOPLE_ONLY(.title = " quoted(text_of[profile, "title"]) ",)"
	print "\t\tPEOPLE_ONLY(.sources = " quoted(text_of[profile, "sources"]) ",)"
	if ((profile, "alias") in text_of)
		print "\t\t.aliases = " quoted(text_of[profile, "alias"]) ","
	if ((profile, "limits") in text_of)
		print "\t\tPEOPLE_ONLY(.limits = " quoted(text_of[profile, "limits"]) ",)"
	if ((profile, "base") in text_of)
		print "\t\t.base = &profiles[" profile_of[text_of[profile, "base"]] - 1 "],"
	print "\t\t.family = &family_" text_of[profile, "family"] ","
	print "\t\t.tier = TIER_" toupper(text_of[profile, "tier"]) ","
	print "\t\t.trait = {"
	for (i = 1; i <= trait_count; i++) {
		key = trait_name[i]
		if (!((profile, key) in trait_of))
			continue
		value = trait_of[profile, key]
		print "\t\t\t[trait_" key "] = " (is_number[key] ? value "u" : key "_" value) ","
	}
	print "\t\t},"
	print "\t},"
}

function write_families(    part, n, i)
{
	n = split(families, part, " ")
	print "const struct family *const families[] = {"
	for (i = 1; i <= n; i++)
		print "\t&family_" part[i] ","
	print "};\n\nconst size_t family_count = sizeof families / sizeof *families;\n"
}

# Of the names of all traits and words: what the numbers of a code mean.  No product exceeds 2^53.
function fingerprint(text,    i, hash)
{
	for (i = 1; i < 128; i++)
		code_of[sprintf("%c", i)] = i
	for (i = 1; i <= length(text); i++)
		hash = (hash * 257 + code_of[substr(text, i, 1)]) % 2147483647
	return hash
}

# All that the preloaded library needs of the list.
function write_trait_words(    part, i, text)
{
	print "const uint8_t trait_words[TRAIT_COUNT] = {"
	for (i = 1; i <= trait_count; i++) {
		print "\t[trait_" trait_name[i] "] = " split(trait_words[trait_name[i]], part, " ") ","
		text = text trait_name[i] " " trait_words[trait_name[i]] "\n"
	}
	print "};\n\nconst uint32_t trait_fingerprint = " fingerprint(text) "u;\n"
}

function write_traits(    part, n, i, j, key)
{
	print "#ifndef FAKEBIND_PRELOADED"
	for (i = 1; i <= trait_count; i++) {
		key = trait_name[i]
		n = split(trait_words[key], part, " ")
		if (!n)
			continue
		printf "static const char *const %s_words[] = {", key
		for (j = 1; j <= n; j++)
			printf " %s,", quoted(part[j])
		print " };"
	}
	print "\nconst struct trait trait_list[TRAIT_COUNT] = {"
	for (i = 1; i <= trait_count; i++) {
		key = trait_name[i]
		n = split(trait_words[key], part, " ")
		print "\t[trait_" key "] = { " quoted(key) ", FOR_PEOPLE(" quoted(trait_meaning[key]) "), " \
			(n ? key "_words" : "NULL") ", " n " },"
	}
	print "};\n#endif\n"
}

FNR == 1 { file_number++; section = "" }

file_number == 1 && /^extern const struct family family_/ {
	line = $0
	sub(/^extern const struct family /, "", line)
	gsub(/family_|[;,]/, "", line)
	families = joined(families, line)
}
file_number == 1 { next }
file_number == 2 { traits_text = traits_text $0 "\n"; next }
file_number == 3 && FNR == 1 { read_traits(traits_text) }
FNR == 1 { current = ++profile_count; file_of[current] = FILENAME }

/^[ \t\r]*([#;].*)?$/ { next }
{ sub(/[ \t];.*$/, "") }
/^[ \t]*\[/ {
	section = trim($0)
	if (section != "[profile]" && section != "[traits]")
		fail("unknown section '" section "': expected [profile] or [traits]")
	next
}
!/=/ {
	fail("'" trim($0) "': expected KEY = VALUE")
	next
}
{
	key = trim(substr($0, 1, index($0, "=") - 1))
	value = trim(substr($0, index($0, "=") + 1))
	if (section == "[profile]")
		profile_key(key, value)
	else if (section == "[traits]")
		trait_key(key, value)
	else if (section == "")
		fail("'" key "' stands before any section: expected [profile] or [traits]")
}

END {
	for (i = 1; i <= profile_count; i++)
		inherit(i, 0)
	for (i = 1; i <= profile_count; i++)
		check(i)
	if (!profile_count)
		fail_at("mkprofiles", "no profile was given")
	if (failed)
		exit 1
	print "/* Made by scripts/mkprofiles.awk from profiles/ and traits.def: change those. */"
	print "#include \"rules.h\"\n"
	write_families()
	write_trait_words()
	write_traits()
	print "const struct profile profiles[] = {"
	for (i = 1; i <= profile_count; i++)
		write_profile(i)
	print "};\n\nconst size_t profile_count = sizeof profiles / sizeof *profiles;"
}
