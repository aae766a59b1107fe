"""Makes parts of the documentation from the code, so that they cannot say anything else than the code.

`pages` names them; `hooks` puts them into the pages while MkDocs builds the site (`make docs`).
"""
