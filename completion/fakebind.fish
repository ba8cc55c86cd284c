# SPDX-License-Identifier: MIT
# fish completion for fakebind.  Subcommands, options and systems are asked of the command itself.

function __fakebind_subcommand
    set -l words (commandline -opc)
    set -q words[2]; and not string match -q -- '-*' $words[2]; and echo $words[2]
end

function __fakebind_options
    command fakebind (__fakebind_subcommand) --help 2>/dev/null | string replace -rf '^ +(?:-[a-zA-Z], )?(--[a-z-]+).*' '$1'
end

function __fakebind_systems
    command fakebind profiles 2>/dev/null | tail -n +2 | string replace -r ' .*' ''
end

function __fakebind_sessions
    for file in $XDG_RUNTIME_DIR/fakebind/session-* /dev/shm/fakebind-(id -u)*/session-*
        string replace -r '.*/session-' '' -- $file
    end
end

function __fakebind_first
    test (count (commandline -opc)) -eq 1
end

function __fakebind_after
    contains -- (commandline -opc)[-1] $argv
end

complete -c fakebind -n '__fakebind_first; or __fakebind_after help' -a "(command fakebind --help 2>/dev/null | string replace -rf '^ +fakebind ([a-z]+).*' '\$1')"
complete -c fakebind -n 'string match -q -- "-*" (commandline -ct)' -a '(__fakebind_options)'
complete -c fakebind -n '__fakebind_after -o --os show' -f -a '(__fakebind_systems)'
complete -c fakebind -n '__fakebind_after -s --session end' -f -a '(__fakebind_sessions)'
complete -c fakebind -n '__fakebind_after --set' -f -a 'exclusive reuseaddr=0 reuseaddr=1'
complete -c fakebind -n '__fakebind_after profiles' -f -a show
complete -c fakebind -n '__fakebind_after -- doctor' -a '(__fish_complete_command)'
