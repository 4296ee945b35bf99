// Related rows in one answer: every kind of relationship, spreads, aggregates, and what is refused.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { answer, rows, startLibrary } from './lib/library.js'

let library

before(async () => {
  library = await startLibrary()
})

after(() => library?.stop())

const books = (select) => library.from('books').select(select).order('id')
const authors = (select) => library.from('authors').select(select).order('id')

test('many to one, chosen by column, by constraint and under another name', async () => {
  assert.deepEqual(await rows(books('title, author_id(name)').eq('id', 2)), [
    { title: 'Frogs', author_id: { name: 'Basho' } },
  ])
  const both = 'title, author:authors!books_author_id_fkey(name), translator:authors!translator_id(name)'
  assert.deepEqual(await rows(books(both).lte('id', 2)), [
    { title: 'Engines', author: { name: 'Ada' }, translator: null },
    { title: 'Frogs', author: { name: 'Basho' }, translator: { name: 'Clarice' } },
  ])
})

test('one to many, with its own filter, order and limit', async () => {
  const written = authors('name, books!author_id(title)')
    .gt('books.id', 1)
    .order('title', { referencedTable: 'books' })
    .limit(1, { referencedTable: 'books' })
  assert.deepEqual(await rows(written), [
    { name: 'Ada', books: [] },
    { name: 'Basho', books: [{ title: 'Frogs' }] },
    { name: 'Clarice', books: [{ title: 'Apples and engines' }] },
  ])
})

test('one to one, from both sides', async () => {
  assert.deepEqual(await rows(books('id, covers(colour)').lte('id', 2)), [
    { id: 1, covers: { colour: 'red' } },
    { id: 2, covers: null },
  ])
  const covers = library.from('covers').select('colour, books(title)').order('book_id')
  assert.deepEqual(await rows(covers), [
    { colour: 'red', books: { title: 'Engines' } },
    { colour: 'blue', books: { title: 'Stars' } },
  ])
})

test('many to many, through its junction', async () => {
  const found = books('title, shelves(label)').order('label', { referencedTable: 'shelves' })
  assert.deepEqual(await rows(found), [
    { title: 'Engines', shelves: [{ label: 'door' }] },
    { title: 'Frogs', shelves: [{ label: 'door' }, { label: 'window' }] },
    { title: 'Stars', shelves: [] },
    { title: 'Apples and engines', shelves: [{ label: 'window' }] },
  ])
})

test('a table with itself, in both directions', async () => {
  assert.deepEqual(await rows(authors('name, mentor:mentor_id(name), authors(name)').lte('id', 2)), [
    { name: 'Ada', mentor: null, authors: [{ name: 'Basho' }, { name: 'Clarice' }] },
    { name: 'Basho', mentor: { name: 'Ada' }, authors: [] },
  ])
})

test('through a view', async () => {
  const novels = library.from('novels').select('title, authors(name)').order('id')
  assert.deepEqual(await rows(novels), [
    { title: 'Stars', authors: { name: 'Clarice' } },
    { title: 'Apples and engines', authors: { name: 'Clarice' } },
  ])
})

test('computed by a function, to one and to many', async () => {
  assert.deepEqual(await rows(authors('name, pupils(name), dearest(title)').neq('id', 2)), [
    { name: 'Ada', pupils: [{ name: 'Basho' }, { name: 'Clarice' }], dearest: { title: 'Engines' } },
    { name: 'Clarice', pupils: [], dearest: { title: 'Stars' } },
  ])
})

test('several levels deep', async () => {
  const deep = library.from('shelves').select('label, books(title, author_id(name, mentor:mentor_id(name)))').eq('id', 2)
  assert.deepEqual(await rows(deep), [
    {
      label: 'window',
      books: [
        { title: 'Frogs', author_id: { name: 'Basho', mentor: { name: 'Ada' } } },
        { title: 'Apples and engines', author_id: { name: 'Clarice', mentor: { name: 'Ada' } } },
      ],
    },
  ])
})

test('an inner embed leaves out rows without, and counts only what is left', async () => {
  const red = library.from('books').select('title, covers!inner(colour)', { count: 'exact' }).eq('covers.colour', 'red')
  assert.deepEqual(await answer(red), {
    status: 200,
    data: [{ title: 'Engines', covers: { colour: 'red' } }],
    count: 1,
  })
})

test('rows are chosen by whether a related row is there', async () => {
  assert.deepEqual(await rows(books('id, covers()').is('covers', null)), [{ id: 2 }, { id: 4 }])
  assert.deepEqual(await rows(books('id, covers()').not('covers', 'is', null)), [{ id: 1 }, { id: 3 }])
  const either = books('id, covers(), shelves()').or('covers.not.is.null,shelves.not.is.null')
  assert.deepEqual(await rows(either), [{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }])
})

test('rows are filtered by a tree over a related table, and ordered by one', async () => {
  const tree = authors('name, books!author_id(id)').or('price.gt.9,genre.eq.poem', { referencedTable: 'books' })
  assert.deepEqual(await rows(tree), [
    { name: 'Ada', books: [{ id: 1 }] },
    { name: 'Basho', books: [{ id: 2 }] },
    { name: 'Clarice', books: [{ id: 3 }] },
  ])
  const ordered = library
    .from('books')
    .select('id, author:author_id(name)')
    .order('author(name)', { ascending: false })
    .order('id')
  assert.deepEqual((await rows(ordered)).map(({ id }) => id), [3, 4, 2, 1])
})

test('a spread lifts columns of one row, and makes lists of many', async () => {
  assert.deepEqual(await rows(books('title, ...author_id(author:name, ...mentor_id(mentor:name))').lte('id', 2)), [
    { title: 'Engines', author: 'Ada', mentor: null },
    { title: 'Frogs', author: 'Basho', mentor: 'Ada' },
  ])
  const lists = authors('name, ...books!author_id(titles:title, prices:price)').order('id', { referencedTable: 'books' })
  assert.deepEqual(await rows(lists.gte('id', 2)), [
    { name: 'Basho', titles: ['Frogs'], prices: [7] },
    { name: 'Clarice', titles: ['Stars', 'Apples and engines'], prices: [9.9, null] },
  ])
})

test('aggregates group by what else is selected', async () => {
  const genres = library.from('books').select('genre, count(), price.sum(), dearest:price.max()::text').order('genre')
  assert.deepEqual(await rows(genres), [
    { genre: 'novel', count: 2, sum: 9.9, dearest: '9.90' },
    { genre: 'poem', count: 1, sum: 7, dearest: '7.00' },
    { genre: 'essay', count: 1, sum: 12.5, dearest: '12.50' },
  ])
  assert.deepEqual(await rows(authors('name, books!author_id(count)')), [
    { name: 'Ada', books: [{ count: 1 }] },
    { name: 'Basho', books: [{ count: 1 }] },
    { name: 'Clarice', books: [{ count: 2 }] },
  ])
  const lifted = library.from('books').select('price.sum(), ...author_id(author:name)').order('author_id(author)')
  assert.deepEqual(await rows(lifted), [
    { sum: 12.5, author: 'Ada' },
    { sum: 7, author: 'Basho' },
    { sum: 9.9, author: 'Clarice' },
  ])
  assert.deepEqual(await answer(authors('...books!author_id(price.sum())')), {
    status: 400,
    error: {
      code: 'PGRST127',
      message: 'Feature not implemented',
      details: 'Aggregates are not implemented for one-to-many or many-to-many spreads.',
      hint: null,
    },
  })
})

test('two ways to a related table are refused, with how to tell them apart', async () => {
  const { status, error } = await answer(books('title, authors(name)'))
  assert.deepEqual([status, error], [
    300,
    {
      code: 'PGRST201',
      message: "Could not embed because more than one relationship was found for 'books' and 'authors'",
      details: [
        {
          cardinality: 'many-to-one',
          embedding: 'books with authors',
          relationship: 'books_author_id_fkey using books(author_id) and authors(id)',
        },
        {
          cardinality: 'many-to-one',
          embedding: 'books with authors',
          relationship: 'books_translator_id_fkey using books(translator_id) and authors(id)',
        },
      ],
      hint:
        "Try changing 'authors' to one of the following: 'authors!books_author_id_fkey', " +
        "'authors!books_translator_id_fkey'. Find the desired relationship in the 'details' key.",
    },
  ])
})

test('an unrelated table, and a filter on what is not embedded, are refused', async () => {
  assert.deepEqual(await answer(books('title, shelfs(label)')), {
    status: 400,
    error: {
      code: 'PGRST200',
      message: "Could not find a relationship between 'books' and 'shelfs' in the schema cache",
      details:
        "Searched for a foreign key relationship between 'books' and 'shelfs' in the schema 'public', " +
        'but no matches were found.',
      hint: "Perhaps you meant 'shelves' instead of 'shelfs'.",
    },
  })
  assert.deepEqual(await answer(books('title').eq('covers.colour', 'red')), {
    status: 400,
    error: {
      code: 'PGRST108',
      message: "'covers' is not an embedded resource in this request",
      details: null,
      hint: "Verify that 'covers' is included in the 'select' query parameter.",
    },
  })
})
