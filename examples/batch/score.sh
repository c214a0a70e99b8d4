#!/bin/sh
# A scoring job: reads by which version it scores, and leaves an output that says so. `score.sh FOLDER KIND RUN`, as a scheduler starts it:
#
#   name      out/scores-VERSION-RUN.csv
#   sidecar   out/scores-RUN.csv, and out/scores-RUN.csv.meta.json
#   field     out/scores-RUN.json
#
# What is not whole yet has a name that begins with a dot.
set -eu
cd "$1"
read -r version < version

whole() {
    cat > "out/.$1"
    mv "out/.$1" "out/$1"
}

case $2 in
    name) echo "id,score" | whole "scores-$version-$3.csv" ;;
    sidecar)
        echo "id,score" | whole "scores-$3.csv"
        echo "{\"model\": {\"version\": \"$version\"}}" | whole "scores-$3.csv.meta.json"
        ;;
    field) echo "{\"version\": \"$version\", \"scores\": []}" | whole "scores-$3.json" ;;
esac
