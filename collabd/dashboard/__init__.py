"""The dashboard: one page about a daemon, for browsers. Both daemons serve it, each from its own address.

The page is for everybody who reaches the daemon and tells nothing. What it shows it asks for under /collab/v1/, with
the key of who looks. Its files lie in web/, and are read only where a dashboard is switched on.
"""

from collabd.dashboard.page import DashboardPage, Viewed, bind

__all__ = ["DashboardPage", "Viewed", "bind"]
