# bash completion of muster and muster-agent. It asks the program on the line, by --help: what that knows, this knows.

# The commands in the overview, one a line: "device register".
_muster_commands() {
	sed -n 's/^  \([a-z].\{0,19\}\).*/\1/p' | sed 's/  .*//; s/ $//'
}

# The options in a help text, one a line: "--type=WORD", "--qr". What comes behind --usage are examples.
_muster_options() {
	sed -n '/^ *--usage/q;s/^ \{2,6\}\(-., \)\{0,1\}\(--[a-z][a-z0-9-]*\(\[\{0,1\}=[^ ]*\)\{0,1\}\).*/\2/p'
}

# The global options in the overview, one a line, as above.
_muster_globals() {
	sed -n '/^Global options/,$s/^  \(--[a-z-]*\) \([A-Z]\{1,\}\) .*/\1=\2/p;/^Global options/,$s/^  \(--[a-z-]*\)  .*/\1/p'
}

_muster() {
	local program=$1 cur=$2 prev='' word command='' overview commands globals options option rest help value i
	local -a global=()

	COMPREPLY=()
	overview=$("$program" --help 2>/dev/null)
	commands=$(_muster_commands <<<"$overview")
	globals=$(_muster_globals <<<"$overview")
	# The command's words, and the global options before and between them, which have their value in the next word.
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--*)
			[[ $'\n'$globals = *$'\n'"$word="* ]] || continue
			global+=("$word")
			[ "${COMP_WORDS[i + 1]}" = = ] && ((i++))
			if ((i + 1 < COMP_CWORD)); then
				((i++))
				global+=("${COMP_WORDS[i]}")
			else
				prev=$word
			fi
			;;
		-*) ;;
		*)
			# Only as long as a command goes on like this; what comes behind it is its arguments.
			rest=${command:+$command }$word
			[ "$rest" = "$word" ] || [ -n "$command" ] || continue
			while IFS= read -r value; do
				case $value in
				"$rest" | "$rest "*)
					command=$rest
					break
					;;
				esac
			done <<<"$commands"
			;;
		esac
	done
	[ -n "$prev" ] || { prev=${COMP_WORDS[COMP_CWORD - 1]} && [ "$prev" = = ] && prev=${COMP_WORDS[COMP_CWORD - 2]}; }
	[ "$cur" = = ] && cur='' && prev=${COMP_WORDS[COMP_CWORD - 1]}

	help='' options=$globals
	if grep -qxF -- "$command" <<<"$commands"; then
		help=$("$program" $command --help 2>/dev/null)
		options+=$'\n'$(_muster_options <<<"$help")
	fi

	# The value of an option.
	while IFS= read -r option; do
		[ "${option%%[=[]*}" = "$prev" ] && [ "$option" != "$prev" ] || continue
		case ${option#*=} in
		*FILE* | *DIR* | FOLDER* | PROGRAM*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		esac
		return
	done <<<"$options"
	case $cur in
	-*)
		mapfile -t COMPREPLY < <(compgen -W "$(sed 's/\[\{0,1\}=.*//' <<<"$options")" -- "$cur")
		return
		;;
	esac
	# The next word of a command, or a device that the service knows.
	mapfile -t COMPREPLY < <(compgen -W "$(sed -n "s/^${command:+$command }\([a-z-]*\).*/\1/p" <<<"$commands" | sort -u)" -- "$cur")
	if [ ${#COMPREPLY[@]} = 0 ] && [[ $command = device\ * ]] && grep -q '^Usage:.* ID$' <<<"$help"; then
		mapfile -t COMPREPLY < <(compgen -W "$("$program" "${global[@]}" --json device list --limit 100 2>/dev/null |
			sed -n 's/^ *"id": "\([0-9a-f-]*\)".*/\1/p')" -- "$cur")
	fi
}

complete -o default -F _muster muster muster-agent
