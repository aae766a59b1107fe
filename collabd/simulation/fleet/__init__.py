"""Many devices and the companions that they share: is there a herd, and what do they get?"""
