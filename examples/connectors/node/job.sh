#!/bin/sh
# Runs a job's program in the job's folder, once however often this is started, and leaves its exit code in `exit`.
#   job.sh PROGRAM [ARGUMENT]...
echo $$ > ".pid-$$"
ln ".pid-$$" pid 2>/dev/null || { rm ".pid-$$"; exit 0; } # it runs already, or has run
rm ".pid-$$"
[ -e cancelled ] && exit 0
trap : TERM # the program ends by it; this stays, to tell how
(exec "$@" > log 2>&1 < /dev/null)
echo $? > .exit && mv .exit exit
