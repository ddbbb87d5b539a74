# make quickstart: searches, retrains, evaluates, exports and uses a network on data that ships with the package.
# make test: runs all tests; make test ROOM=nas: runs those of one room. Each target first creates an environment in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/quickstart
STAMP := $(VENV)/installed
ROOMS := $(sort $(patsubst nasnet_tf/%/__init__.py,%,$(wildcard nasnet_tf/*/__init__.py)) tools)

.PHONY: quickstart pictures docs test lint wheel clean

$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=24" --constraint constraints.txt
	$(BIN)/pip install --quiet --editable ".[dev]" --constraint constraints.txt
	touch $@

quickstart: $(STAMP)
	$(BIN)/python -m nasnet_tf.search --gin_file=quickstart_search.gin --workdir=$(RUN)/search
	TF_NUM_INTRAOP_THREADS=1 $(BIN)/python -m nasnet_tf.train --gin_file=quickstart_train.gin --workdir=$(RUN)/train \
	  --gin_param="train.genotype='$(RUN)/search/best.textproto'"
	$(BIN)/python -m nasnet_tf.evaluate --workdir=$(RUN)/train --split=test & evaluation=$$!; \
	  test -d $(RUN)/export || $(BIN)/python -m nasnet_tf.export --workdir=$(RUN)/train --output=$(RUN)/export; \
	  exported=$$?; wait $$evaluation && exit $$exported
	$(BIN)/python -m nasnet_tf.predict testdata/digits/*.png --model=$(RUN)/export --top=2 --embed_images --output=$(RUN)/predictions.json
	$(BIN)/python -m nasnet_tf.report --workdir=$(RUN)

# Draws the pictures in docs/pictures.
pictures: $(STAMP)
	$(BIN)/python tools/make_pictures.py

# Builds the documentation site in build/site; fails if a link is broken.
docs: $(STAMP)
	$(BIN)/python tools/make_site.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "written: build/site; to read and search it, run python -m http.server --directory build/site"

ifdef ROOM
ifneq ($(filter-out $(ROOMS),$(ROOM)),)
$(error ROOM: expected one of $(ROOMS), got '$(ROOM)')
endif
test: $(STAMP)
	$(BIN)/python -m pytest -q --numprocesses=2 --dist=worksteal $(patsubst nasnet_tf/tools,tools,$(addprefix nasnet_tf/,$(ROOM)))
else
test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q --numprocesses=2 --dist=worksteal
endif

wheel: $(STAMP)
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

# Removes only what this Makefile creates: people keep their own work in runs/.
clean:
	rm -rf $(VENV) build dist nasnet_tf.egg-info $(RUN)
