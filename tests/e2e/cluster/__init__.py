"""Tests of updates on the real cluster: rollouts, rollbacks, adoption, drift, trust and the wrong cluster."""
