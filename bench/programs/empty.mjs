// Imported to find out what importing costs when there is nothing to import.
export {};
