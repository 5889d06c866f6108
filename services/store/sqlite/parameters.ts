/** SQL that both engines share, as SQLite takes it: `?1` where PostgreSQL has `$1`. */
export function withNumberedParameters(sql: string): string {
  return sql.replace(/\$(\d+)/g, '?$1')
}
