"""Where artefacts come from: a folder, the Hub, ModelScope, npm; the cache of what was fetched."""
