// SystemLayer
