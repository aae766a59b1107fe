"""Pictures of reports and simulations. One module a picture; how all of them look is in `style`.

They need matplotlib, which comes with the extra `plot`; so who draws asks `target.ready` first, and imports the
picture's module only then.
"""
