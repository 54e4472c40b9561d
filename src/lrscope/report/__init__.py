"""Charts and the pages that hold them: `theme` (the house look), `charts`, `page`, `save`. Needs the extra `report`."""
