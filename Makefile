# Every target installs what it needs first (scripts/setup), so each of them works in a fresh clone.
.DEFAULT_GOAL := help
.PHONY: demo test lab bench lint help

demo: ## run the quickstart notebooks with their own kernels and picture the live view: demo-output/
	scripts/demo

test: ## run every test: Rust, widgets, Python, wheel, browser, notebooks, parity, faults, Slurm
	scripts/test

lab: ## open JupyterLab on the notebooks, both kernels installed
	scripts/lab

bench: ## compare speed and memory with bioimage-py and other libraries in one run
	scripts/bench

lint: ## check format, types and lints of all languages
	scripts/test lint

help: ## print this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Built files are kept in $${XDG_CACHE_HOME:-~/.cache}/bioimage-rs; BIOIMAGE_RS_CACHE names another place."
	@echo "  One part of the tests: scripts/test rust|widgets|wheel|python|browser|... (see its first lines)."
