/**
 * What one reader gets of the content of an entry. Content comes with an entry: that of a message with the message
 * itself, or with its last edit. Who may not see both is not given it: who was out when the edit came is shown the
 * message without content, and who may not see the message gets the edit without it.
 */
import type { EntryState } from '../../protocol/entry.ts'

/** How one person sees a log. */
export type Eyes = {
  /** They are in it now; what others do to messages after they have left is not for them. */
  isIn: boolean
  /** Inside their windows, and not cleared. */
  sees(seq: number): boolean
  /** Deleted by them for themselves. */
  isDeleted(seq: number): boolean
}

/** Of an entry as it is filed; JSON, both. */
type Content = { kind: string; body: string; state: string | null }

/** The entry as these eyes see it; nearly always the same object. */
export function asSeen<Row extends Content>(row: Row, eyes: Eyes): Row {
  if (row.kind === 'edit') return editAsSeen(row, eyes)
  const { state } = row
  return state === null ? row : messageAsSeen(row, JSON.parse(state) as EntryState, eyes)
}

/** The message that an entry is about, if it is an edit; that of an erased person says nothing any more. */
export function editedBy({ kind, body }: Pick<Content, 'kind' | 'body'>): number | undefined {
  return kind === 'edit' ? (JSON.parse(body) as { seq?: number }).seq : undefined
}

function editAsSeen<Row extends Content>(row: Row, { sees, isDeleted }: Eyes): Row {
  const { seq, count, body } = JSON.parse(row.body) as { seq: number; count: number; body?: object }
  if (body === undefined || (sees(seq) && !isDeleted(seq))) return row
  return { ...row, body: JSON.stringify({ seq, count }) }
}

function messageAsSeen<Row extends Content>(row: Row, state: EntryState, { isIn, sees }: Eyes): Row {
  const { edited, reactions, ...others } = state
  const isUnseen = edited?.seq !== undefined && !sees(edited.seq)
  if (!isUnseen && (isIn || reactions === undefined)) return row
  const seen: EntryState = {
    ...(edited !== undefined && { edited: { ...edited, ...(isUnseen && { unseen: true }) } }),
    ...others,
    ...(isIn && reactions !== undefined && { reactions }),
  }
  return {
    ...row,
    body: isUnseen ? '{}' : row.body,
    state: Object.keys(seen).length === 0 ? null : JSON.stringify(seen),
  }
}
