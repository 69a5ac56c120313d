"""Runs as web pages that need nothing else: one file each, with all scripts inside, that asks no other place.

from superdiff_engine.web.page import run_page, solids_page

open("run.html", "w").write(run_page(run.result, run.trace, run.titles))
open("molecules.html", "w").write(solids_page(run.result))      # molecules or proteins in three dimensions
"""
