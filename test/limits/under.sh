#!/bin/sh
# under.sh COMMAND…: runs it with a helper that changes its limits for it, as Node has no call for that. What prlimit(1) is
# to do is written to descriptor 8, and its exit code can be read from 9.
folder=$(mktemp -d)
mkfifo "$folder/ask" "$folder/answer"
(
  exec 8<"$folder/ask" 9>"$folder/answer" >/dev/null 2>&1
  while read -r limit <&8; do
    # shellcheck disable=SC2086
    prlimit --pid $$ $limit
    echo $? >&9
  done
) &
exec 8>"$folder/ask" 9<"$folder/answer"
rm -r "$folder"
exec "$@"
