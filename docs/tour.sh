#!/bin/sh
# A tour of dca: the books of a small computing centre, on SQLite, from the records of a real Slurm.
# Run it with `make tour`. Everything is written to a temporary folder, which is removed at the end.
set -eu
records=$(cd "$(dirname "$0")/.." && pwd)/tests/data/slurm/sacct-t5-final.txt
books=$(mktemp -d)
trap 'rm -rf "$books"' EXIT
cd "$books"
cp "$records" sacct.txt
export DCA_STORE="sqlite:$books/centre.db" DCA_CONFIG="$books/config" HOME="$books"

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() {
    printf '\n$ dca'
    for word in "$@"; do
        case $word in
            --*=*' '*) printf " %s='%s'" "${word%%=*}" "${word#*=}" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    dca "$@" || status=$?
    if [ "${status-0}" != "$expected" ]; then echo "tour: exit status ${status-0}, $expected expected" >&2; exit 1; fi
    if [ "$expected" != 0 ]; then echo "(exit status $status)"; fi
    status=0 expected=0
}
expected=0

say '1. Set up. Our scheduler has accounts such as phy-lattice, so names may hold a dash.'
run setup --names=extended --timezone=UTC --cluster=lab --format=table

say '2. An hour on one core costs 36 dollars (a cent a second), and three tenants come in.'
run rate set --rate=36 -m
run tenant add --tenant=physics --credit=5 -m
run tenant add --tenant=biology -m
run tenant add --tenant=climate -m

say '3. Tenants pay, and earmark money for their projects.'
run tenant payment --tenant=physics --payment=50 --reference='invoice 2026-11' -m
run tenant payment --tenant=biology --payment=20 -m
run tenant payment --tenant=climate --payment=30 -m
run project add --project=phy-lattice --tenant=physics --balance=15 --credit=5 -m
run project add --project=phy-optics --tenant=physics --balance=18 -m

say '4. A job asks for more than its project has: refused before it runs, and the exit status says so.'
run user add --project=phy-optics --user=dmitri -m
expected=1; run transaction reservebudget --project=phy-optics --user=dmitri --estimate=3600 --job=lab/9001/1763900000 -m
run transaction reservebudget --project=phy-optics --user=dmitri --estimate=120 --cores=2 --job=lab/9002/1763900100 -m
run project show --project=phy-optics --format=table

say '5. It runs for 90 seconds only: its real cost is charged, the rest of the hold is free again.'
run transaction charge --project=phy-optics --user=dmitri --jobtime=90 --cores=2 --start='2026-11-23 12:00:00' --job=lab/9002/1763900100 -m

say '6. What would the log of our Slurm cost, project by project? A dry run says so and changes nothing.'
run job import --tenant=physics --create-missing --dry-run --format=table sacct.txt

say '7. The accounts of biology and climate become their projects; then the whole log is imported.'
for project in bio-imaging bio-genome; do run project add --project=$project --tenant=biology --balance=10 -m; done
for project in cli-ocean cli-ice; do run project add --project=$project --tenant=climate --balance=15 -m; done
run job import --tenant=physics --create-missing --format=table sacct.txt

say '8. The same log once more: every job is known, nothing is charged twice.'
run job import --tenant=physics --create-missing -m sacct.txt

say '9. The books now.'
run list --format=table

say '10. The bill of a project, day by day and user by user.'
run bill generate --project=phy-lattice --time_period="2026-11-23,$(date -u +%F)"

say '11. The first root closes the books: Dmitri may read his tenant, and nothing else.'
run role grant --role=root --login="$(id -un)" -m
run login add --login=dmitri --role=viewer --tenant=physics -m
run login list --format=table

say '12. The audit log: who did what, chained by hashes.'
run log list --limit=8 --format=table

say '13. The proof: every entry, record and sum examined.'
run log verify --format=table

say 'That was dca. The books were in one file; a site that outgrows it points dca at its Elasticsearch. See README.md.'
