"""The HTML report: what each section shows of a record, and its templates, styles and script."""
