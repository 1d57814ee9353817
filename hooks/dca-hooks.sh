# What the hooks and dca-spool-send share; they read this file, it does nothing by itself. POSIX sh.
#
# Below DCA_HOOK_SPOOL, for the user the hooks run as and nobody else:
#   waiting/<cluster>.<job id>.<submit time>.1   a hold (.1) or a charge (.2) that dca has not taken yet: its arguments,
#   waiting/<cluster>.<job id>.<submit time>.2   one a line. A charge without --jobtime asks sacct how long the job ran.
#   refused/<the same name>                      what dca refused: the arguments, an empty line, its answer.
#   runs/<cluster>.<job id>.lock                 locked while a prolog of this job is at work.
#   runs/<cluster>.<job id>.<submit time>        this run was refused and stopped: the call that charges it nothing.
#   down                                         when the store was last found out of reach, in epoch seconds.
# These files are data. Nothing in them is ever run as shell code.
#
# shellcheck disable=SC2034  # the scripts that read this file use its variables

hook_settings() { # read the settings; every setting has a default
  PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/sbin:/sbin
  export PATH
  DCA_HOOK_CONF=${DCA_HOOK_CONF:-/etc/dca/hooks.conf}
  if [ -r "$DCA_HOOK_CONF" ]; then
    set -a
    # shellcheck disable=SC1090
    . "$DCA_HOOK_CONF"
    set +a
  fi
  LC_ALL=C
  export LC_ALL
  DCA_COMMAND=${DCA_COMMAND:-dca}
  DCA_HOOK_SPOOL=${DCA_HOOK_SPOOL:-/var/spool/dca}
  DCA_HOOK_LOG=${DCA_HOOK_LOG:-syslog}
  DCA_HOOK_ON_REFUSAL=${DCA_HOOK_ON_REFUSAL:-hold}
  DCA_HOOK_UNIT=${DCA_HOOK_UNIT:-core-hours}
  DCA_HOOK_UNLIMITED=$(number_or "${DCA_HOOK_UNLIMITED:-}" 86400)
  DCA_HOOK_WAIT=$(number_or "${DCA_HOOK_WAIT:-}" 5)
  DCA_HOOK_RETRY=$(number_or "${DCA_HOOK_RETRY:-}" 60)
  longest=$((DCA_HOOK_WAIT + 10))
  waiting=$DCA_HOOK_SPOOL/waiting refused=$DCA_HOOK_SPOOL/refused runs=$DCA_HOOK_SPOOL/runs down=$DCA_HOOK_SPOOL/down
  now=$(date +%s)
  if ! { [ -d "$waiting" ] && [ -d "$refused" ] && [ -d "$runs" ]; }; then
    (umask 077 && mkdir -p "$waiting" "$refused" "$runs") 2>/dev/null
  fi
}

number_or() { # TEXT DEFAULT: print TEXT if it is a whole number, else DEFAULT
  case $1 in
    '' | *[!0-9]* | ??????????*) printf '%s' "$2" ;;
    *) printf '%s' "$1" ;;
  esac
}

log() { # TEXT: one line for the administrator
  if [ "$DCA_HOOK_LOG" = syslog ]; then
    logger -t "${0##*/}" -- "$1" 2>/dev/null
  else
    printf '%s %s: %s\n' "$(date +%Y-%m-%dT%H:%M:%S%z)" "${0##*/}" "$1" 2>/dev/null >>"$DCA_HOOK_LOG"
  fi
  return 0
}

bounded() { # COMMAND...: run it for so long at most, in our process group: who kills the hook kills it, too
  timeout --foreground -k 2 "$longest" "$@"
}

seconds_of() { # [DAYS-][HOURS:]MINUTES:SECONDS: set seconds; fail on anything else, UNLIMITED for one
  days=0 rest=$1
  case $rest in
    [0-9]*-*) days=${rest%%-*} rest=${rest#*-} ;;
  esac
  case $days$rest in
    *[!0-9:]*) return 1 ;;
  esac
  before=$IFS IFS=:
  # shellcheck disable=SC2086
  set -- $rest
  IFS=$before
  case $# in
    2) set -- 0 "$@" ;;
    3) ;;
    *) return 1 ;;
  esac
  set -- "${1#0}" "${2#0}" "${3#0}" # 08 is no octal number
  seconds=$(((days * 24 + ${1:-0}) * 3600 + ${2:-0} * 60 + ${3:-0}))
}

job_of() { # find out which job this hook is about; say why not and fail where that cannot be known
  id=${SLURM_JOB_ID:-} account=${SLURM_JOB_ACCOUNT:-} user=${SLURM_JOB_USER:-} cluster=${SLURM_CLUSTER_NAME:-}
  case $id in
    '' | *[!0-9]*)
      log "SLURM_JOB_ID '$id' is no job id; is this script run by slurmctld?"
      return 1
      ;;
  esac
  case $cluster in
    '' | *[!A-Za-z0-9_.@-]* | [!A-Za-z0-9]*)
      log "job $id: the cluster's name '$cluster' cannot be part of a job key; left to the import"
      return 1
      ;;
    *[A-Z]*) cluster=$(printf '%s' "$cluster" | tr '[:upper:]' '[:lower:]') ;;
  esac
  if [ -z "$account" ] || [ -z "$user" ]; then
    log "job $id has no account or no user; left to the import"
    return 1
  fi
  # The raw id of an array's last task, or of a hetjob's first part, stands for all of them: name the task itself.
  target=$id
  if [ -n "${SLURM_ARRAY_JOB_ID:-}" ] && [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    target=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
  fi
  lock=$runs/$cluster.$id.lock
}

run_of() { # ask slurmctld for the run; only columns that no user can write into, so no name can pretend to be a time
  said=$(SLURM_TIME_FORMAT=%s bounded squeue --local -a -h -t all -j "$target" \
    -O JobID,SubmitTime,EndTime,TimeUsed,TimeLimit,NumCPUs,ResizeTime,BatchFlag,State,tres-alloc:40 2>&1)
  submit=
  while read -r its_id its_submit its_end its_used its_limit its_cpus its_resize its_batch its_state its_tres; do
    if [ "$its_id" = "$id" ]; then
      submit=$its_submit end=$its_end used=$its_used limit=$its_limit cores=$its_cpus
      resized=$its_resize batch=$its_batch state=$its_state
      case $its_tres in
        cpu=*,*) cores=${its_tres#cpu=} cores=${cores%%,*} ;; # squeue may write 2048 CPUs as 2K elsewhere
      esac
    fi
  done <<RECORD
$said
RECORD
  case $submit in
    '' | *[!0-9]*)
      log "job $id: squeue did not tell its submit time (${said:-no answer}); left to the import"
      return 1
      ;;
  esac
  case $cores in
    '' | 0 | *[!0-9]*)
      log "job $id: squeue did not tell its CPUs ($cores); left to the import"
      return 1
      ;;
  esac
  key=$cluster/$id/$submit
  run=$cluster.$id.$submit
}

store_is_down() { # tell whether the store was out of reach a moment ago, so that not every job waits for it
  since=
  if [ -e "$down" ]; then
    read -r since <"$down" || :
  fi
  case $since in
    '' | *[!0-9]*) return 1 ;;
  esac
  [ "$now" -ge "$since" ] && [ $((now - since)) -lt "$DCA_HOOK_RETRY" ]
}

call() { # ARGUMENTS of dca: set verdict to taken, refused, wrong or trouble, and answer to what dca said
  # shellcheck disable=SC2086
  answer=$(bounded $DCA_COMMAND "$@" --mini "--wait=$DCA_HOOK_WAIT" 2>&1)
  status=$?
  verdict=trouble
  case $status in
    0) verdict=taken ;;
    1 | 2 | 4) # only dca's own answer is an answer: a Python that does not start ends with 1 as well
      case $answer in
        *'"status":'*'"failed"'*'"code":'*)
          verdict=wrong
          [ "$status" != 1 ] || verdict=refused
          ;;
      esac
      ;;
  esac
  reached=yes
  case $status in
    124 | 137) reached=no ;;
    3)
      case $answer in
        *'"unreachable"'*) reached=no ;;
      esac
      ;;
  esac
  if [ "$reached" = no ]; then
    (umask 077 && printf '%s\n' "$now" >"$down") 2>/dev/null
  elif [ -e "$down" ]; then
    rm -f "$down"
  fi
  if [ "$verdict" = trouble ]; then
    sentence_of
    log "dca $1 $2 was not taken: $sentence"
  fi
}

sentence_of() { # set sentence to the sentence of an answer, or to its end where it is none
  case $answer in
    *'"error":'*'",'*)
      sentence=${answer#*\"error\":} sentence=${sentence#*\"} sentence=${sentence%%\",*}
      ;;
    *) sentence="status $status, ${answer##*
}" ;;
  esac
}

put() { # FILE, lines on standard input: write it whole or not at all
  (umask 077 && cat >"${1%/*}/.${1##*/}.$$" && mv -f "${1%/*}/.${1##*/}.$$" "$1")
}

keep() { # NAME ARGUMENTS: keep a call that dca did not take, to be sent again
  name=$1
  shift
  case $* in
    *'
'*)
      log "$name: an argument with a line break cannot be kept; left to the import"
      return 1
      ;;
  esac
  if printf '%s\n' "$@" | put "$waiting/$name"; then
    return 0
  fi
  log "$name: cannot be kept in $waiting; left to the import: $*"
  return 1
}

put_aside() { # NAME ARGUMENTS: keep a call that dca refused, with its answer, for the administrator
  name=$1
  shift
  sentence_of
  log "$name: refused, kept in $refused: $sentence"
  { printf '%s\n' "$@" && printf '\n%s\n' "$answer"; } | put "$refused/$name" && return 0
  log "$name: cannot be kept in $refused: $*"
  return 1
}
