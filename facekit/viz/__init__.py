"""Pictures of many faces: contact sheets, animations, progress bars."""
