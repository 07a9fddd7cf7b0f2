"""`python -m template_checks`."""

from template_checks.cli import main

main()
