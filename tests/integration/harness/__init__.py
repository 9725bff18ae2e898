# SPDX-License-Identifier: Apache-2.0
"""Real servers, writers with a ground truth, and a checker, for the integration tests."""
