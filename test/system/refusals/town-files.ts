/** Files of the people of the town. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Town } from './town.ts'

/** Where the nodes of the town keep files. */
export function mediaFolder() {
  const path = mkdtempSync(join(tmpdir(), 'wochat-refusals-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

type Declared = { type?: string; sha256?: string }

/** An upload that was begun; its digest is that of the bytes unless another is declared. */
export async function beginUpload(
  town: Town,
  role: string,
  bytes: Buffer,
  { type, sha256 = createHash('sha256').update(bytes).digest('hex') }: Declared = {},
): Promise<string> {
  const upload = { bytes: bytes.length, sha256, ...(type !== undefined && { type }) }
  const { id } = await town.do<{ id: string }>(role, 'media.create', upload)
  return id
}

/** An upload of one part, which is there. */
export async function putUpload(
  town: Town,
  role: string,
  bytes: Buffer,
  declared?: Declared,
): Promise<string> {
  const id = await beginUpload(town, role, bytes, declared)
  const answer = await fetch(`${town.server.httpUrl}/v1/media/${id}/parts/1`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${town.token(town.who(role))}` },
    body: new Uint8Array(bytes),
  })
  if (!answer.ok) throw new Error(`a part of ${id}: ${answer.status} ${await answer.text()}`)
  return id
}

/** A file of somebody whom the owner of the groups has nothing to do with. */
export const uploadForeign = (town: Town): Promise<string> => upload(town, 'anna', `avatar ${Math.random()}`)

export async function upload(town: Town, role: string, text: string): Promise<string> {
  const id = await putUpload(town, role, Buffer.from(text))
  await town.do(role, 'media.complete', { id })
  return id
}
