# Looking at a stack and waiting for it. The caller sets
#   rn_stack     its name
#   rn_services  the services that matter, with the stack's name, parted by blanks
#   rn_wait      seconds, rn_monitor seconds
#   rn_sum       the label that each service must have, empty if any will do
#   rn_strict    1 where a rollback that is over is a failure too

# Prints what the swarm knows: lines of a word and fields parted by |.
rn_look() {
  rn_list=$(docker service ls --filter "label=com.docker.stack.namespace=$rn_stack" \
    --format 'service|{{.Name}}|{{.Replicas}}|{{.ID}}') || return
  if [ -z "$rn_list" ]; then return 0; fi
  printf '%s\n' "$rn_list"
  docker service inspect --format 'spec|{{.Spec.Name}}|{{index .Spec.Labels "runner.compose-sha256"}}|{{if .UpdateStatus}}{{.UpdateStatus.State}}|{{.UpdateStatus.Message}}{{else}}|{{end}}|{{if .Spec.Mode.Replicated}}{{.Spec.Mode.Replicated.Replicas}}{{else}}global{{end}}|{{.Spec.TaskTemplate.ContainerSpec.Image}}' \
    $(printf '%s\n' "$rn_list" | cut -d'|' -f4) || return
  # Tasks of an older version of a service do not count, and their errors are no news.
  docker stack ps "$rn_stack" --no-trunc --filter _up-to-date=true \
    --format 'task|{{.Name}}|{{.ID}}|{{.DesiredState}}|{{.CurrentState}}|{{.Node}}|{{.Error}}'
}

# Judges such lines: verdict ok, wait or bad; a line for people; the running tasks; the services that lack
# something, each with the cause.
rn_judge() {
  awk -F'|' -v services="$rn_services" -v prefix="${rn_stack}_" -v sum="$rn_sum" -v strict="$rn_strict" '
    $1 == "service" { split($3, n, /[\/ ]/); have[$2] = n[1] + 0; want[$2] = n[2] + 0; seen[$2] = 1 }
    $1 == "spec" { label[$2] = $3; update[$2] = $4; message[$2] = $5 }
    $1 == "task" {
      name = $2; sub(/^[ \\_]+/, "", name); sub(/\.[^.]*$/, "", name)
      state = $5; sub(/ .*/, "", state)
      if ($4 == "Running" && state == "Running") { run[name]++; ids[name] = ids[name] " " $3 }
      else if ($4 != "Shutdown" && $4 != "Remove" && !(name in now)) now[name] = state
      if ($7 != "" && !(name in error)) { error[name] = $7; gsub(/^"|"$/, "", error[name]); place[name] = $6 }
    }
    END {
      verdict = "ok"; count = split(services, all, " ")
      for (i = 1; i <= count; i++) {
        s = all[i]; item = substr(s, length(prefix) + 1); cause = ""
        if (!(s in seen)) { item = item " missing"; cause = "the swarm has no such service" }
        else {
          item = item " " have[s] "/" want[s]
          if (sum != "" && label[s] != sum) bad[s] = update[s] ~ /rollback/ ? "rolled back" : "changed by someone else"
          else if (update[s] ~ /paused/ || (strict && update[s] ~ /rollback/)) bad[s] = update[s]
          if (s in bad) { verdict = "bad"; cause = bad[s]; if (message[s] != "") cause = cause ": " message[s] }
          else if (update[s] ~ /updating|started/) cause = "updating"
          else if (have[s] > want[s]) cause = "one must end"
          else if (have[s] != want[s] || run[s] + 0 != want[s]) cause = (s in now) ? now[s] : "no task yet"
          if (cause != "" && (s in error)) {
            cause = cause ": " error[s]; if (place[s] != "") cause = cause " on " place[s]
          }
        }
        if (cause != "") {
          item = item " (" cause ")"; lacking = lacking "lacks|" s "|" item "\n"
          if (verdict == "ok") verdict = "wait"
        }
        line = line (i > 1 ? ", " : "") item; running = running ids[s]
      }
      print "verdict|" verdict; print "progress|" line; print "running|" running
      printf "%s", lacking
    }'
}

# Prints why the services that lack something do not run.
rn_diagnose() {
  for rn_s in $(printf '%s\n' "$rn_judged" | sed -n 's/^lacks|\([^|]*\)|.*/\1/p'); do
    docker service ps --no-trunc --format '{{.Name}}{{if .Node}} on {{.Node}}{{end}}: {{.CurrentState}} {{.Error}}' "$rn_s" 2>/dev/null |
      head -n 3 | sed "s/^/tasks|$rn_s|/"
    rn_limit 10 docker service logs --raw --tail 5 "$rn_s" 2>&1 | tail -n 5 | sed "s/^/log|$rn_s|/"
  done
  printf '%s\n' "$rn_judged" | grep '^lacks|'
}

# Waits until every service has all of its tasks running, the same ones for the monitor period.
rn_await() {
  rn_start=$(date +%s); rn_since=; rn_was=; rn_shown=
  while :; do
    rn_now=$(($(date +%s) - rn_start))
    if rn_seen=$(rn_look 2>&1); then rn_judged=$(printf '%s\n' "$rn_seen" | rn_judge)
    else rn_judged="verdict|wait
progress|docker does not answer: $(printf '%s\n' "$rn_seen" | tail -n 1)"; fi
    rn_progress=$(printf '%s\n' "$rn_judged" | sed -n 's/^progress|//p')
    if [ "$rn_progress" != "$rn_shown" ]; then printf '%s\n' "$rn_progress"; rn_shown=$rn_progress; fi
    case $rn_judged in
      'verdict|ok'*)
        rn_running=$(printf '%s\n' "$rn_judged" | sed -n 's/^running|//p')
        if [ -z "$rn_since" ] || [ "$rn_running" != "$rn_was" ]; then rn_since=$rn_now; rn_was=$rn_running; fi
        if [ $((rn_now - rn_since)) -ge "$rn_monitor" ]; then echo "converged|$rn_now"; return 0; fi ;;
      'verdict|bad'*) rn_diagnose; echo "failed|$rn_now"; return 0 ;;
      *) rn_since= ;;
    esac
    # A stack that is complete gets the time to prove it.
    if [ $rn_now -ge "$rn_wait" ] && { [ -z "$rn_since" ] || [ $rn_now -ge $((rn_wait + rn_monitor)) ]; }; then
      rn_diagnose; echo "late|$rn_now"; return 0
    fi
    sleep 1
  done
}

# Prints what is left of a removed stack.
rn_left() {
  docker service ls -q --filter "label=com.docker.stack.namespace=$rn_stack" | sed 's/^/service /'
  docker stack ps "$rn_stack" --no-trunc --format '{{.Name}} {{.CurrentState}} {{.Node}}' 2>/dev/null | sed 's/^/task /'
  for rn_kind in network secret config; do
    docker $rn_kind ls -q --filter "label=com.docker.stack.namespace=$rn_stack" | sed "s/^/$rn_kind /"
  done
}

# Removes a stack, and waits until nothing is left. A network that tasks still use makes docker fail at first.
rn_remove() {
  rn_start=$(date +%s); rn_shown=
  rn_said=$(docker stack rm "$rn_stack" 2>&1)
  while :; do
    rn_now=$(($(date +%s) - rn_start))
    rn_rest=$(rn_left) || return
    if [ -z "$rn_rest" ]; then echo "removed|$rn_now"; return 0; fi
    rn_progress=$(printf '%s\n' "$rn_rest" | cut -d' ' -f1 | sort | uniq -c | awk '{ printf "%s%d %s%s", s, $1, $2, ($1 > 1 ? "s" : ""); s = ", " }')
    if [ "$rn_progress" != "$rn_shown" ]; then printf 'left: %s\n' "$rn_progress"; rn_shown=$rn_progress; fi
    if [ $rn_now -ge "$rn_wait" ]; then
      printf '%s\n%s\n' "$rn_said" "$rn_rest" | sed 's/^/left|/'; echo "late|$rn_now"; return 0
    fi
    sleep 1
    case $rn_rest in service*) ;; *task\ *) ;; *) rn_said=$(docker stack rm "$rn_stack" 2>&1) ;; esac
  done
}
