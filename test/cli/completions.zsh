# Prints what an interactive zsh offers for a line: zsh completions.zsh FOLDER LINE
# FOLDER holds the completion's file. Completion runs only in the line editor, which needs a terminal: zpty is one.
zmodload zsh/zpty
zpty shell zsh -f -i
line() { zpty -w shell "$1" }
line "PROMPT= ; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -C -d ${(q)1}.dump"
# Instead of offering words, prints those that match what is typed. compadd -O, -A and -D only compute.
line 'compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  local -a hits suffix hidden; local hit
  builtin compadd -O hits "$@"
  zparseopts -E S:=suffix P:=hidden p:=hidden
  for hit in $hits; do print -r "<$IPREFIX${hidden[2]}$hit${suffix[2]}>"; done
  builtin compadd "$@"
}'
line 'show() { unset "compstate[vared]"; echo BEGIN; _main_complete; echo END; compstate[list]= compstate[insert]=; exit }'
line 'zle -C show complete-word show; bindkey "^X" show; echo REA''DY'
while zpty -r shell text; do [[ $text != *READY* ]] || break; done
zpty -w -n shell "$2"$'\x18'
result=""
while zpty -r shell text; do result+=$text; done
result=${${result##*BEGIN}%%END*}
print -rl -- ${(M)${(f)${result//$'\r'/}}:#<*}
