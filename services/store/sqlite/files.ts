/** The files of the store in the data folder. SQLite puts `-wal` and `-shm` beside each. */
export const STORE_FILE = 'wochat.db'
export const LOCK_FILE = 'lock'
