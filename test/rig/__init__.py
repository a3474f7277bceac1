"""What the live tests in Python share: terms, processes that speak them, hosts, checks.

A suite's entry puts `test/` on sys.path; everything else says `from rig…`.
"""
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The C node under test; a sanitized one is slower and larger.
NODE = os.environ.get("MUSTER_NODE", os.path.join(ROOT, "priv", "muster_node"))
SANITIZED = "MUSTER_SANITIZED" in os.environ
