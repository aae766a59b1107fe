"""Whether a package from elsewhere may run here. `python -m collabd.catalog.trial PACKAGE` judges one by itself."""
