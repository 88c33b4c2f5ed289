"""The app: what runs between the browser and the library. A folder for each screen."""
