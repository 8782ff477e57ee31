"""Runs a Python file as one cell of a notebook, and prints what it shows.

python tools/in_notebook.py FILE
"""

import pathlib
import sys

import nbclient
import nbformat


def main(path: str) -> None:
  """Runs the file in a fresh kernel; an error in it is raised here."""
  cell = nbformat.v4.new_code_cell(pathlib.Path(path).read_text())
  notebook = nbformat.v4.new_notebook(cells=[cell])
  nbclient.NotebookClient(notebook, timeout=1800).execute()
  for output in cell.outputs:
    print(output.get('text', ''), end='')


if __name__ == '__main__':
  main(sys.argv[1])
