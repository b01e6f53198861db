# SPDX-License-Identifier: BSD-3-Clause
"""
docs/performance.md and its pictures, from runs of the programs in bench/. Every ratio is of two
figures of one run. bench/report.sh runs this.
"""

import argparse
import contextlib
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("SEALANE_BUILD", ROOT / "build-bench"))
PAGE, PICTURES = ROOT / "docs/performance.md", ROOT / "docs/performance"

SIZES = (64, 256, 512, 1024, 1420)
SUITES = {"aes128gcm16": "AES-GCM-128", "aes256gcm16": "AES-GCM-256",
          "chacha20poly1305": "ChaCha20-Poly1305", "aes128-sha256": "AES-CBC-128 and HMAC-SHA-256"}
WAYS = {"out": "outbound", "in": "inbound"}
SAS = (1, 100, 1_000, 10_000, 100_000, 1_000_000)
BURSTS = (1, 2, 4, 8, 16, 32, 64)
TRIES = 3
WORKERS = range(1, min(os.cpu_count(), 4) + 1)


class Bench:
    """Runs sealane-bench; of each set of options once."""

    def __init__(self, quick):
        self.repeat, self.packets = (200, 1_000_000) if quick else (2_000, 10_000_000)
        self.results = {}

    def __call__(self, **options):
        key = tuple(sorted(options.items()))
        if key not in self.results:
            self.results[key] = self.run({"repeat": self.repeat, **options})
        return self.results[key]

    @staticmethod
    def once(words):
        """The result, or in what it ended."""
        with tempfile.NamedTemporaryFile() as file:
            ran = subprocess.run([BUILD / "bench/sealane-bench", *words, "--json", file.name],
                                 capture_output=True, text=True)
            if ran.returncode != 0:
                return None, ran.stderr.splitlines()[-1:]
            return json.load(file), None

    def run(self, options):
        """One worker faster than its crypto is a processor that changed its speed: tried again."""
        words = [word for key, value in options.items()
                 for word in ((f"--{key}",) if value is True else (f"--{key}", str(value)))]
        for _ in range(TRIES):
            result, error = self.once(words)
            if result and (over(result) >= 0 or options.get("workers", 1) > 1):
                break
            print(f"{' '.join(words)}: once more, as {error or 'faster than its crypto'}", file=sys.stderr)
        else:
            sys.exit(f"{' '.join(words)}: {TRIES} times in vain")
        print(f"{' '.join(words)}: {result['ticks_per_packet']:.0f} ticks, the crypto alone "
              f"{result['limit_ticks_per_packet']:.0f}", file=sys.stderr)
        return result


def over(result):
    return result["ticks_per_packet"] - result["limit_ticks_per_packet"]


def row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def head(*cells):
    return [row(*cells), "|" + "---|" * len(cells)]


# ---- the sections: each gives lines of the page ----

def by_size(bench):
    yield from head("suite, direction", *(f"{size} bytes" for size in SIZES))
    for suite, name in SUITES.items():
        for way, word in WAYS.items():
            results = [bench(direction=way, suite=suite, size=size) for size in SIZES]
            yield row(f"{name}, {word}", *(
                f"{r['ticks_per_packet']:.0f} ({over(r):+.0f})" for r in results))
            yield row("the crypto alone", *(f"{r['limit_ticks_per_packet']:.0f}" for r in results))


def throughput(bench):
    yield from head("AES-GCM-128, one worker", *(f"{size} bytes" for size in SIZES))
    for way, word in WAYS.items():
        results = [bench(direction=way, suite="aes128gcm16", size=size) for size in SIZES]
        yield row(word, *(f"{r['mpps']:.2f} M/s, {r['gbps']:.1f} Gbit/s" for r in results))


VARIANTS = {"tunnel mode, IPv4": {}, "tunnel mode, IPv6": {"family": 6},
            "tunnel mode, IPv4, UDP encapsulation": {"encap": "udp"},
            "transport mode, IPv4": {"mode": "transport"},
            "transport mode, IPv6": {"mode": "transport", "family": 6}}


def by_variant(bench):
    yield from head("512 bytes, AES-GCM-128", *WAYS.values())
    for name, options in VARIANTS.items():
        yield row(name, *(f"{r['ticks_per_packet']:.0f} ({over(r):+.0f})" for r in (
            bench(direction=way, suite="aes128gcm16", size=512, **options) for way in WAYS)))


def by_stage(bench):
    results = {way: bench(direction=way, suite="aes128gcm16", size=512)["stages"] for way in WAYS}
    yield from head("stage", *WAYS.values())
    for stage in results["out"]:
        ticks = [results[way][stage] for way in WAYS]
        if max(ticks) >= 0.5:
            yield row(f"`{stage}`", *(f"{t:.1f}" if t >= 0.05 else "" for t in ticks))


def sas_of(bench, way, order):
    return [bench(direction=way, suite="aes128gcm16", size=512, sas=sas, order=order) for sas in SAS]


def by_sas(bench):
    yield from head("SAs", "outbound, random", "inbound, random", "outbound, Zipf", "inbound, Zipf",
                    "bytes an SA in the SAD")
    columns = [sas_of(bench, way, order) for order in ("random", "zipf") for way in WAYS]
    for sas, *results in zip(SAS, *columns):
        yield row(f"{sas:,}", *(f"{r['ticks_per_packet']:.0f}" for r in results),
                  f"{results[0]['bytes_per_sa']:.0f}" if sas >= 1000 else "")


def by_workers(bench):
    yield from head("workers", *(f"{word}, {size} bytes" for word in WAYS.values()
                                 for size in (512, 1420)))
    alone = {}
    for workers in WORKERS:
        cells = []
        for way in WAYS:
            for size in (512, 1420):
                mpps = bench(direction=way, suite="aes128gcm16", size=size, sas=64,
                             workers=workers)["mpps"]
                alone.setdefault((way, size), mpps)
                cells.append(f"{mpps:.2f} M/s ({mpps / alone[way, size]:.2f})")
        yield row(workers, *cells)


def by_shared(bench):
    yield from head("suite", *WAYS.values())
    for suite, name in SUITES.items():
        cells = []
        for way in WAYS:
            one, two = (bench(direction=way, suite=suite, size=1420, workers=workers, shared=True,
                              lap=1024)["mpps"] for workers in (1, 2))
            cells.append(f"{one:.2f} M/s, {two:.2f} M/s ({two / one:.2f})")
        yield row(name, *cells)


def by_burst(bench):
    yield from head("packets a burst", "ticks a packet", "half within", "99 % within",
                    "99.9 % within")
    for burst in BURSTS:
        r = bench(direction="out", suite="aes128gcm16", size=512, burst=burst, latency=bench.packets)
        l = r["latency_us"]
        yield row(burst, f"{r['ticks_per_packet']:.0f}",
                  *(f"{l[key]:.2f} µs" for key in ("p50", "p99", "p99.9")))


# ---- pictures ----

def draw(name, title, x, y, columns, options=""):
    """A picture of {legend: [(x, y)...]} by gnuplot."""
    blocks = "\n".join(
        f"$data{i} << end\n" + "\n".join(f"{a} {b}" for a, b in points) + "\nend"
        for i, points in enumerate(columns.values()))
    lines = ", ".join(f"$data{i} with linespoints lw 2 pt 7 ps 0.5 title '{legend}'"
                      for i, legend in enumerate(columns))
    subprocess.run(["gnuplot"], check=True, text=True, input=f"""
        set terminal svg size 760,420 background 'white' font 'sans,13'
        set output '{PICTURES / name}.svg'
        set title '{title}'; set xlabel '{x}'; set ylabel '{y}'; set grid; set key top left
        set yrange [0:*]; {options}
        {blocks}
        plot {lines}
        """.replace("        ", ""))
    return f"![{title}](performance/{name}.svg)"


def draw_sizes(bench):
    columns = {}
    for way, word in WAYS.items():
        results = [bench(direction=way, suite="aes128gcm16", size=size) for size in SIZES]
        columns[word] = [(s, r["ticks_per_packet"]) for s, r in zip(SIZES, results)]
        columns[f"the crypto alone, {word}"] = [
            (s, r["limit_ticks_per_packet"]) for s, r in zip(SIZES, results)]
    return draw("sizes", "AES-GCM-128, one worker, one SA", "bytes of an inner packet",
                "TSC ticks a packet", columns)


def draw_sas(bench):
    return draw("sas", "AES-GCM-128, 512 bytes, one worker", "SAs", "million packets a second", {
        f"{word}, {order}": [(n, r["mpps"]) for n, r in zip(SAS, sas_of(bench, way, order))]
        for order in ("random", "zipf") for way, word in WAYS.items()}, "set logscale x")


def draw_workers(bench):
    return draw("workers", "AES-GCM-128, 64 SAs", "workers", "million packets a second", {
        f"{word}, {size} bytes": [
            (n, bench(direction=way, suite="aes128gcm16", size=size, sas=64, workers=n)["mpps"])
            for n in WORKERS]
        for way, word in WAYS.items() for size in (512, 1420)}, "set xtics 1")


# ---- tables without packets ----

def lookups(quick):
    """What bench/lookup prints: of the most policies, and of SAs."""
    ran = subprocess.run([BUILD / "bench/lookup", "10000" if quick else "1000000"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout.splitlines()
    results = [json.loads(line) for line in ran]
    most = max(r.get("policies", 0) for r in results)
    return ([r for r in results if r.get("policies") == most],
            [r for r in results if r.get("lookup") == "sad"])


SPIS = {"engine": "SPIs of the engine", "other": "other SPIs"}
ORDERS = ("random", "zipf", "sequential")


def draw_spis(results):
    return draw("spis", "SAs of inbound packets, in bursts of 64", "SAs", "ns a packet", {
        f"{name}, {order}": [(r["sas"], r["burst"]) for r in results
                             if r["spis"] == spis and r["order"] == order]
        for spis, name in SPIS.items() for order in ORDERS}, "set logscale x")


def by_spis(results):
    columns = [(spis, order) for spis in SPIS for order in ORDERS]
    found = {(r["sas"], r["spis"], r["order"]): r for r in results}
    yield from head("SAs", *(f"{SPIS[spis]}, {order}" for spis, order in columns))
    for sas in sorted({r["sas"] for r in results}):
        cells = [found[(sas, *column)] for column in columns]
        yield row(f"{sas:,}", *(f"{r['burst']:.0f}, {r['checked']:.0f} ({r['alone']:.0f})" for r in cells))


def draw_tuples(results):
    return draw("tuples", f"{results[0]['policies']:,} policies", "tuples", "ns a lookup", {
        f"IPv{family}, {order}": [
            (r["tuples"], r["burst"]) for r in results
            if r.get("lookup") and r["family"] == family and r["order"] == order]
        for family in (4, 6) for order in ("random", "zipf")}, "set logscale x 2")


def by_tuples(results):
    columns = [(family, order) for family in (4, 6) for order in ("random", "zipf", "sequential")]
    ns = {(r["family"], r["order"], r["tuples"]): r["burst"] for r in results if r.get("lookup")}
    yield from head("tuples", *(f"IPv{family}, {order}" for family, order in columns))
    for tuples in sorted({tuples for _, _, tuples in ns}):
        yield row(tuples, *(f"{ns[(*column, tuples)]:.0f}" for column in columns))
    changes = [r for r in results if r.get("change")]
    yield ""
    for what in ("added", "deleted"):
        rates = [r[f"{what}_per_second"] for r in changes]
        yield f"Policies {what} a second: {min(rates):,.0f} to {max(rates):,.0f}."


def memory(quick):
    """What bench/memory counts."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([BUILD / "bench/memory", "--sas", "10000" if quick else "1000000", "--json",
                        file.name], check=True, stdout=subprocess.DEVNULL)
        result = json.load(file)
    yield from head(f"{result.pop('SAs'):,.0f} SAs of AES-GCM-128", "each")
    yield from (row(what, f"{value:,.0f}") for what, value in result.items())


# ---- the daemon's control socket ----

def measured(program, *words):
    """What a program that runs as root measures, in JSON."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([sys.executable, ROOT / "bench" / program, *words, "--json", file.name], check=True,
                       stdout=subprocess.DEVNULL)
        return json.load(file)


POOL = Path("/proc/sys/vm/nr_hugepages")
RATES = {"sas_added": "SAs added", "pool": "with huge pages set aside", "sas_added_again": "SAs added again",
         "sas_deleted": "SAs deleted", "policies_added": "policies added", "sas_dumped": "SAs dumped"}


@contextlib.contextmanager
def no_pool():
    """Without the huge pages that bench/report.sh has set aside."""
    before = POOL.read_text()
    POOL.write_text("0")
    try:
        yield
    finally:
        POOL.write_text(before)


def rates(quick):
    if os.geteuid() != 0:
        return ["(Run as root, the report measures the control socket here.)"]
    sizes = ["--sas", "1000", "10000"] if quick else []
    with no_pool():
        rows = measured("rates.py", *sizes)
    rows = [{**r, "pool": p["sas_added"]} for r, p in zip(rows, measured("rates.py", *sizes))]
    picture = draw("rates", "The control socket of the daemon", "SAs", "thousands a second", {
        RATES[key]: [(r["sas"], r[key] / 1000) for r in rows] for key in RATES if key != "sas_dumped"},
        "set logscale x; set key top right")
    return [picture, "", *head("a second", *RATES.values()),
            *(row(f"{r['sas']:,}", *(f"{r[key]:,.0f}" for key in RATES)) for r in rows)]


def pauses(quick):
    if os.geteuid() != 0:
        return ["(Run as root, the report measures a worker's pauses here.)"]
    result = measured("changes.py", "--short", "--rate", *(["50000"] if quick else ["50000", "100000"]))
    times = result["times"]
    picture = draw("pauses", f"A worker that forwards {result['capacity_per_second'] * result['load'] / 1e6:.1f} million "
                   "packets a second", "messages a second", "", {
                       name: [(t["messages_per_second"] / 1000, t[key]) for t in times]
                       for key, name in (("gap_us", "longest pause, µs"),
                                         ("long_gaps", "pauses of more than 100 µs, in 8 s"))},
                   "set xlabel 'thousands of changes a second'")
    lines = head("changes a second", "longest pause", "of more than 100 µs, in 8 s", "its core taken away, at most",
                 "SAs rekeyed", "packets lost")
    return [picture, "", *lines, *(
        row(f"{t['messages_per_second']:,}", f"{t['gap_us']} µs", t["long_gaps"], f"{t['switched_gap_us']} µs",
            f"{t.get('sas_rekeyed', 0):,}", f"{sum(t['lost'].values()):,}") for t in times)]


# ---- the page ----

def machine():
    cpu = subprocess.run(["lscpu"], check=True, capture_output=True, text=True,
                         env={**os.environ, "LC_ALL": "C"}).stdout
    fields = {key.strip(): value.strip() for key, _, value in
              (line.partition(":") for line in cpu.splitlines())}
    versions = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", "libdpdk-dev", "libipsec-mb-dev", "gcc"],
        capture_output=True, text=True).stdout.split("\n")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True,
                            text=True).stdout.strip()
    return (f"{fields['CPU(s)']} processors of {fields['Model name']}, family {fields['CPU family']} "
            f"model {fields['Model']}, {fields.get('L2 cache', '?')} L2; Linux {os.uname().release}; "
            f"{', '.join(filter(None, versions))}; commit {commit}, "
            f"{datetime.date.today().isoformat()}")


def peers(quick):
    """The tables of bench/peers.py, where that may run."""
    if os.geteuid() != 0:
        return ["(Run as root, the report compares with other tunnels here.)"]
    words = ["--rounds", "1", "--seconds", "1"] if quick else []
    return subprocess.run([sys.executable, ROOT / "bench/peers.py", *words], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.splitlines()


def ports(quick):
    """The table of bench/ports.py, likewise."""
    if os.geteuid() != 0:
        return ["(Run as root, the report measures real ports here.)"]
    return subprocess.run([sys.executable, ROOT / "bench/ports.py", "--seconds", "1" if quick else "3"],
                          check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def page(bench, quick):
    yield from [
        "# Performance", "",
        "Made by `sudo bench/report.sh`; nothing here is written by hand. " + machine() + ".", "",
        "Figures are TSC ticks a packet: a whole worker between a source and a sink in memory, whose own "
        "cost is taken off; of thousands of laps of 256 packets the fastest but for one in a thousand. *The "
        "crypto alone* is what IPsec-MB takes for the same packets in the same run, with one key, on hot "
        "buffers. In brackets: how much more a packet takes. The machine is shared: only what stands in one row is of one time.",
        "", "## By size", "", draw_sizes(bench), ""]
    yield from by_size(bench)
    yield ""
    yield from throughput(bench)
    yield from ["", "## By mode and family", ""]
    yield from by_variant(bench)
    yield from ["", "## By stage", "",
                "Of 512-byte packets with AES-GCM-128. Each stage is timed by itself, which takes the overlap "
                "of neighbours away: the sum is more than the whole.", ""]
    yield from by_stage(bench)
    yield from ["", "## By number of SAs", "", draw_sas(bench), "",
                "512 bytes, AES-GCM-128, one worker, ticks a packet.", ""]
    yield from by_sas(bench)
    yield from ["", "## By workers", "", draw_workers(bench), "",
                "64 SAs; in brackets, times one worker.", ""]
    yield from by_workers(bench)
    yield from ["", "## One SA on two workers", "",
                "1420 bytes, one SA: one worker, and two with `workers.spread`, of which the first has all "
                "packets, in its cache, and the other does a part of the crypto. In brackets, times one worker.", ""]
    yield from by_shared(bench)
    yield from ["", "## How long a packet stays", "",
                f"From the port that receives to the port that sends, {bench.packets:,} packets of 512 "
                "bytes, outbound. A packet leaves in the poll that received it, however small the burst: "
                "the run ends if one does not. What is beyond 99 % is mostly the machine's other work.",
                ""]
    yield from by_burst(bench)
    results, spis = lookups(quick)
    yield from ["", "## SAs by SPI", "", draw_spis(spis), "",
                "Nanoseconds a packet of the stage that finds the SAs of a burst of 64 inbound packets, and with the "
                "stage behind it that looks at the windows; in brackets one after the other, each waiting for the one before "
                "(`bench/lookup`). An SPI that the engine chose names the SA's place, others are found by a hash. One SA's "
                "packets in a row are found once.", ""]
    yield from by_spis(spis)
    yield from ["", "## Policies by tuples", "", draw_tuples(results), "",
                f"Nanoseconds a lookup in bursts of 64, of {results[0]['policies']:,} policies of a host each, "
                f"in one tuple, and {results[0]['ranges']} for ports of networks in the others, which "
                "are better and are asked first for each packet (`bench/lookup`).", ""]
    yield from by_tuples(results)
    yield from ["", "## Memory", "",
                "With a policy for each SA and one worker (`bench/memory`); times are of sadb alone, fresh memory "
                "included, which the system clears.", ""]
    yield from memory(quick)
    yield from ["", "## Adding and deleting", "",
                "Through the control socket of the daemon, many messages a datagram (`bench/rates.py`): of an engine that is "
                "new, so that the system clears memory for the first SAs, unless there are huge pages set aside, which an "
                "engine takes at its start; and again with other keys when all are deleted.", ""]
    yield from rates(quick)
    yield from ["", "## Pauses", "",
                "A worker on one processor forwards at 70 % of its capacity; on the other SAs and policies are added, "
                "updated and deleted. How long it was away from its queues, as it measures it itself, in the short form "
                "(`bench/changes.py --short`): eight seconds each, where the long one has a minute. Interrupts and a "
                "hypervisor make pauses without any changes, too; packets are lost where another program takes its core away.", ""]
    yield from pauses(quick)
    yield from ["", "## By port", "",
                "The daemon itself (`bench/ports.py`), sealing with AES-GCM-128 what another process sends it, or "
                "opening, and beside it the loop of above with bursts as full. *Memory* is a source and a sink in the daemon: "
                "buffers from the pool, and nothing of a port. memif copies each packet twice, in and out, and its "
                "bytes come from another core's cache: that is the part that grows with the packet. By a veth "
                "most is the kernel's, whose part of sending and of the other end's receiving is the worker's time; "
                "bursts are small as the sender, behind system calls itself, is slower than the worker.", ""]
    yield from ports(quick)
    yield from ["", "## Beside other tunnels", "",
                "TCP and small UDP datagrams by iperf3 between two hosts through two gateways, all on this "
                "machine (`bench/peers.sh`). Over af_packet and af_xdp Sealane's gateways are on veths without "
                "offloads; `vnet` ports and the others have all that Linux offers. libipsec, too, has ESP in UDP.", ""]
    yield from peers(quick)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats, to see that all works")
    options = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(page(Bench(options.quick), options.quick)) + "\n")


if __name__ == "__main__":
    main()
