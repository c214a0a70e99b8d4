#!/bin/sh
# Serves what the link FOLDER/current points at, one of FOLDER/releases, and runs FOLDER/reload after a change where there is one.
# Replace what is between the lines of dashes by your own deployment's commands; what is printed and how it ends is what Ripcord reads.
#
#     deployer.sh live FOLDER
#     deployer.sh shift FOLDER VERSION STAGED EXPECTING
#     deployer.sh probe FOLDER VERSION EXPECTING
set -eu
what=$1 folder=$2

# ---- What is served now; empty before the first shift. Better is to ask the server itself.
served() {
    if [ -L "$folder/current" ]; then basename "$(readlink "$folder/current")"; fi
}
# ----

case $what in
live)
    if [ -e "$folder/current" ] && [ ! -L "$folder/current" ]; then
        echo '{"unknown": "`current` is no link: somebody has changed it by hand"}'
        exit
    fi
    version=$(served)
    if [ -z "$version" ]; then echo '{"shares": []}'; else echo "{\"shares\": [{\"version\": \"$version\"}]}"; fi
    ;;
shift)
    version=$3 staged=$4 expecting=$5
    mkdir -p "$folder/releases"
    # Comparing and changing must be one thing, so that nobody else gets in between: this is what makes it `conditional`.
    exec 9>"$folder/lock"
    if ! flock -w 20 9; then
        echo "another change has been under way for 20 seconds" >&2
        exit 65
    fi
    now=$(served)
    if [ "$now" = "$version" ]; then exit 0; fi
    if [ "$now" != "$expecting" ]; then
        echo "live is \`$now\`, and \`$expecting\` was expected" >&2
        exit 69
    fi
    # ---- from here on, an end with anything but 0 and 75 means that nobody knows
    new=$folder/releases/.$version.new
    rm -rf "$new" "$folder/releases/$version"
    cp -R "$staged" "$new"
    mv "$new" "$folder/releases/$version"
    # One rename, so that there is no moment without a version.
    ln -sfn "releases/$version" "$folder/current.new"
    mv -T "$folder/current.new" "$folder/current"
    # What goes on after this program must hold neither the lock nor the standard input, by which Ripcord knows that a shift has not ended.
    if [ -x "$folder/reload" ]; then "$folder/reload" "$version" 9>&- </dev/null; fi
    # ----
    ;;
probe)
    version=$3 expecting=$4
    exec 9>>"$folder/lock"
    if ! flock -n 9; then
        echo '{"outcome": "underway", "why": "the lock is held"}'
        exit
    fi
    now=$(served)
    case $now in
    "$version") echo '{"outcome": "applied"}' ;;
    "$expecting") echo '{"outcome": "not-applied"}' ;;
    *) echo "{\"outcome\": \"cannot-tell\", \"why\": \"live is '$now', which is neither\"}" ;;
    esac
    ;;
*)
    echo "$what is neither live, shift nor probe" >&2
    exit 64
    ;;
esac
