/** The text of a message that people look for: what its body shows, by the fields of all types. */

/** Fields of a body that hold text for people, in the order in which they are shown. */
const TEXT_FIELDS = ['text', 'caption', 'title', 'name', 'label'] as const

type MessageText = { field: string; text: string }

/** The texts of a body; of a merged forward also those of what was forwarded. */
export function messageTexts(body: unknown): MessageText[] {
  if (typeof body !== 'object' || body === null) return []
  const fields = body as Record<string, unknown>
  const texts: MessageText[] = []
  for (const field of TEXT_FIELDS) {
    const text = fields[field]
    if (typeof text === 'string' && text !== '') texts.push({ field, text })
  }
  if (Array.isArray(fields.forwarded)) {
    for (const [i, item] of fields.forwarded.entries()) {
      for (const { field, text } of messageTexts((item as { body?: unknown } | null)?.body)) {
        texts.push({ field: `forwarded.${i}.body.${field}`, text })
      }
    }
  }
  return texts
}

export const joinTexts = (texts: readonly MessageText[]): string => texts.map(({ text }) => text).join('\n')
