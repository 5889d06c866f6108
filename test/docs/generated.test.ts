import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PAGES } from '../../docs/generate.ts'

describe('pages made from definitions', () => {
  test.each([...PAGES.keys()])('%s says what the definitions say; npm run docs writes it anew', (file) => {
    expect(readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8')).toBe(PAGES.get(file)?.())
  })
})
