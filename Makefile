# Two commands for a newcomer: `make demo` shows what the package does, `make test` runs every test. Both install what they need.

# What swift-format looks after.
SWIFT_SOURCES := Package.swift Sources Tests Benchmarks
# For installing packages; empty for root.
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo)
# What `make bench` runs: for example ARGS="locks --quick --json figures.jsonl".
ARGS ?= all

.PHONY: demo test bench tour models emulated format lint check-imports clean libnuma python spin qemu

demo: libnuma
	swift build -c release
	.ci/tour --show
	"$$(swift build -c release --show-bin-path)/mpbench" all --quick --pin compact

test: libnuma
	swift build --build-tests
	@# One test at a time: a .fork child is a copy of the test process, and inherits the locks that other tests' threads hold.
	swift test --skip-build --no-parallel

# Runs the listings of the tutorial and checks what they print.
tour: libnuma
	swift build -c release
	.ci/tour

# Checks the models of the protocols (Tests/Models). Tests/Models/verify --mistakes also shows that seeded mistakes are found.
models: spin
	Tests/Models/verify

# Runs the placement tests on emulated machines of several memory nodes (Tests/EmulatedMachine).
emulated: libnuma qemu
	swift build -c release --product PlacementFixture
	Tests/EmulatedMachine/run

bench: libnuma
	swift build -c release --product mpbench
	"$$(swift build -c release --show-bin-path)/mpbench" $(ARGS)

format:
	swift format --in-place --recursive $(SWIFT_SOURCES)

lint:
	swift format lint --strict --recursive $(SWIFT_SOURCES)

check-imports: python
	.ci/check-imports

clean:
	swift package clean

# NUMA placement calls libnuma. Its header tells whether the development package is there.
libnuma:
	@[ -e /usr/include/numa.h ] || { \
	    command -v apt-get > /dev/null || { echo "install the development package of libnuma (numactl-devel, libnuma-dev)" >&2; exit 1; }; \
	    $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq libnuma-dev; }

python:
	@command -v python3 > /dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3; }

spin:
	@{ command -v spin && command -v gcc; } > /dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq spin gcc libc6-dev; }

qemu:
	@{ command -v qemu-system-x86_64 && command -v busybox && command -v cpio; } > /dev/null || { \
	    $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends qemu-system-x86 busybox-static cpio; }
