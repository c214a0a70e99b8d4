"""Writes the golden set to the file that is named."""

import sys

import model

model.write_golden(sys.argv[1])
