import type { Schema } from '../schema.ts'

/** What an answer needs of a filed entry. */
export type EntryRow = Pick<
  Schema['entry'],
  'seq' | 'at' | 'kind' | 'account' | 'device' | 'id' | 'type' | 'body' | 'state'
>
