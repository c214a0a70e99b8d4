#!/bin/sh
# A registry in a folder of archives: VERSION.tar.gz is a version, VERSION.held beside it marks one that must not be promoted.
# Replace what is between the lines of dashes by your own registry's commands; what is printed and how it ends is what Ripcord reads.
#
#     registry.sh list FOLDER
#     registry.sh fetch FOLDER VERSION INTO [DIGEST]
#     registry.sh mark FOLDER VERSION held|lifted [INCIDENT]
set -eu
what=$1 folder=$2

# A name that cannot be a version's is passed over here, so what is put into the JSON below needs no quoting.
named() {
    case $1 in
    '' | *[!a-zA-Z0-9._+:@-]* | [!a-zA-Z0-9]* | *..*) return 1 ;;
    esac
}

refuse() {
    echo "$1" >&2
    exit 64
}

case $what in
list)
    separator=
    printf '['
    for archive in "$folder"/*.tar.gz; do
        version=$(basename "$archive" .tar.gz)
        named "$version" && test -f "$archive" || continue
        # ---- what is known of a version
        created=$(date -u -r "$archive" +%Y-%m-%dT%H:%M:%SZ)
        tags=
        if [ -f "$folder/$version.held" ]; then tags="\"held-by\": \"$(cat "$folder/$version.held")\""; fi
        # ----
        printf '%s{"version": "%s", "created-at": "%s", "tags": {%s}}' "$separator" "$version" "$created" "$tags"
        separator=', '
    done
    printf ']\n'
    ;;
fetch)
    version=$3 into=$4
    named "$version" || refuse "\`$version\` cannot be a version"
    # ---- the artefact's files, and nothing else, into the folder; Ripcord computes the digest and compares it with the pinned one
    test -f "$folder/$version.tar.gz" || refuse "there is no archive of $version"
    tar -xzf "$folder/$version.tar.gz" -C "$into" --no-same-owner
    # ----
    ;;
mark)
    version=$3 state=$4 incident=${5-}
    named "$version" || refuse "\`$version\` cannot be a version"
    # ---- doing it twice is the same as doing it once
    case $state in
    held) printf '%s' "$incident" >"$folder/.$version.new" && mv "$folder/.$version.new" "$folder/$version.held" ;;
    lifted) rm -f "$folder/$version.held" ;;
    *) refuse "$state is no state of a mark" ;;
    esac
    # ----
    ;;
*) refuse "$what is neither list, fetch nor mark" ;;
esac
