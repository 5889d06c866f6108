/** Numbers that a template may name: `{p}` publisher, `{s}` subscriber, `{g}` group, `{n}` connection, `{t}` target. */
export interface TemplateNumbers {
  p?: number
  s?: number
  g?: number
  n?: number
  t?: number
}

const PLACEHOLDER = /\{([psgnt])(?::(\d{1,2}))?\}/g

/**
 * Fills `u/b{s}/inbox` style templates. Numbers are padded with zeros to `pad` digits, or to the width written in the
 * placeholder (`{s:3}`, `{s:0}`). A number that has no meaning in this place is an error, not an empty string.
 */
export function expandTemplate(template: string, numbers: TemplateNumbers, pad: number): string {
  return template.replace(PLACEHOLDER, (placeholder, name: keyof TemplateNumbers, width?: string) => {
    const value = numbers[name]
    if (value === undefined) throw new Error(`template ${template}: ${placeholder} has no meaning here`)
    return String(value).padStart(width === undefined ? pad : Number(width), '0')
  })
}

export function namesPlaceholder(template: string, name: keyof TemplateNumbers): boolean {
  return [...template.matchAll(PLACEHOLDER)].some((match) => match[1] === name)
}
