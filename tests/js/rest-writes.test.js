// Changing rows: inserts, bulk, upserts, updates, deletes, what is answered and what is undone.
import { after, before, beforeEach, test } from 'node:test'
import assert from 'node:assert/strict'
import { answer, rows, startLibrary } from './lib/library.js'

let library

before(async () => {
  library = await startLibrary()
})

after(() => library?.stop())

beforeEach(() =>
  library.sql(`
    truncate public.readers;
    insert into public.readers (email, name) values ('ada@example.com', 'Ada'), ('bob@example.com', 'Bob');
  `),
)

const readers = () => library.from('readers')
const all = () => rows(readers().select('email, name, visits').order('email'))
const ada = { email: 'ada@example.com', name: 'Ada', visits: 1 }
const bob = { email: 'bob@example.com', name: 'Bob', visits: 1 }
const cleo = { email: 'cleo@example.com', name: 'Cleo', visits: 1 }

test('an insert answers with nothing, or with the row', async () => {
  assert.deepEqual(await answer(readers().insert({ email: 'a@example.com' })), { status: 201, data: null })
  assert.deepEqual(await answer(readers().insert({ email: 'b@example.com' }).select()), {
    status: 201,
    data: [{ email: 'b@example.com', name: null, visits: 1, tags: ['new'] }],
  })
  assert.deepEqual(await answer(readers().insert(cleo).select('name').single()), { status: 201, data: { name: 'Cleo' } })
})

test('many rows are inserted at once, with nulls or defaults for what they lack', async () => {
  const two = [{ email: 'x@example.com', name: 'X' }, { email: 'y@example.com', visits: 7 }]
  assert.deepEqual(await answer(readers().insert(two, { defaultToNull: false, count: 'exact' }).select('name, visits')), {
    status: 201,
    data: [
      { name: 'X', visits: 1 },
      { name: null, visits: 7 },
    ],
    count: 2,
  })
  const { status, error } = await answer(readers().insert([{ email: 'z@example.com' }, { email: 'w@example.com', visits: 7 }]))
  assert.deepEqual(
    [status, error.code, error.message],
    [400, '23502', 'null value in column "visits" of relation "readers" violates not-null constraint'],
  )
})

test('a bulk insert is all or nothing', async () => {
  assert.deepEqual(await answer(readers().insert([cleo, bob])), {
    status: 409,
    error: {
      code: '23505',
      message: 'duplicate key value violates unique constraint "readers_pkey"',
      details: 'Key (email)=(bob@example.com) already exists.',
      hint: null,
    },
  })
  assert.deepEqual(await all(), [ada, bob])
})

test('a thousand rows go in', async () => {
  const many = Array.from({ length: 1000 }, (_, number) => ({ email: `${number}@example.com`, name: `reader ${number}` }))
  assert.deepEqual(await answer(readers().insert(many, { count: 'exact' })), { status: 201, data: null, count: 1000 })
})

test('an upsert changes what is there and adds what is not', async () => {
  const both = [{ email: 'ada@example.com', visits: 5 }, { email: 'cleo@example.com', visits: 2 }]
  assert.deepEqual(await answer(readers().upsert(both).select('email, name, visits').order('email')), {
    status: 201,
    data: [
      { ...ada, visits: 5 },
      { email: 'cleo@example.com', name: null, visits: 2 },
    ],
  })
  assert.deepEqual(await answer(readers().upsert({ email: 'ada@example.com', visits: 6 })), { status: 200, data: null })
})

test('an upsert may leave what is there, and conflict on another key', async () => {
  const ignored = readers().upsert([{ ...ada, name: 'Other' }, cleo], { ignoreDuplicates: true }).select('name')
  assert.deepEqual(await answer(ignored), { status: 201, data: [{ name: 'Cleo' }] })
  const stars = { title: 'Stars', author_id: 3, price: 1 }
  const byTitle = library.from('books').upsert(stars, { onConflict: 'title' }).select('id, price')
  assert.deepEqual(await answer(byTitle), { status: 200, data: [{ id: 3, price: 1 }] })
})

test('an update answers with the changed rows, also when there are none', async () => {
  const update = (email) => readers().update({ visits: 9 }, { count: 'exact' }).eq('email', email)
  assert.deepEqual(await answer(update(ada.email).select('email, name, visits')), {
    status: 200,
    data: [{ ...ada, visits: 9 }],
    count: 1,
  })
  assert.deepEqual(await answer(update('nobody').select()), { status: 200, data: [], count: 0 })
  assert.deepEqual(await answer(update(bob.email)), { status: 204, data: null, count: 1 })
})

test('a change embeds what is related to the changed rows', async () => {
  const moved = library.from('books').update({ price: 8 }).eq('id', 2).select('price, author_id(name), shelves(label)')
  assert.deepEqual(await rows(moved), [
    { price: 8, author_id: { name: 'Basho' }, shelves: [{ label: 'door' }, { label: 'window' }] },
  ])
})

test('a delete answers with what is gone', async () => {
  assert.deepEqual(await answer(readers().delete({ count: 'exact' }).eq('name', 'Bob').select('email')), {
    status: 200,
    data: [{ email: 'bob@example.com' }],
    count: 1,
  })
  assert.deepEqual(await answer(readers().delete().eq('name', 'Ada')), { status: 204, data: null })
  assert.deepEqual(await all(), [])
})

test('an update or delete of everything is refused', async () => {
  for (const [request, verb] of [[readers().update({ visits: 0 }), 'UPDATE'], [readers().delete(), 'DELETE']]) {
    assert.deepEqual(await answer(request), {
      status: 400,
      error: { code: '21000', message: `${verb} requires a WHERE clause`, details: null, hint: null },
    })
  }
  assert.deepEqual(await all(), [ada, bob])
})

test('a change of more rows than allowed is undone', async () => {
  const update = (most) => readers().update({ visits: 2 }).gte('visits', 1).maxAffected(most)
  assert.deepEqual(await answer(update(1)), {
    status: 400,
    error: {
      code: 'PGRST124',
      message: 'Query result exceeds max-affected preference constraint',
      details: 'The query affects 2 rows',
      hint: null,
    },
  })
  assert.deepEqual(await all(), [ada, bob])
  assert.deepEqual(await answer(update(2)), { status: 204, data: null })
})

test('a change that must be of one row is undone when it is of two', async () => {
  const { status, error } = await answer(readers().delete().gte('visits', 1).select().single())
  assert.deepEqual([status, error.code, error.details], [406, 'PGRST116', 'The result contains 2 rows'])
  assert.deepEqual(await all(), [ada, bob])
})

test('a change can be tried out', async () => {
  assert.deepEqual(await rows(readers().insert(cleo).select('name').rollback()), [{ name: 'Cleo' }])
  assert.deepEqual(await all(), [ada, bob])
})

test('only the named columns are taken from the rows', async () => {
  const url = new URL(`${library.env.API_URL}/rest/v1/readers?columns=email,name&select=name,visits`)
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      apikey: library.env.SERVICE_ROLE_KEY,
      authorization: `Bearer ${library.env.SERVICE_ROLE_KEY}`,
      'content-type': 'application/json',
      prefer: 'return=representation',
    },
    body: JSON.stringify({ ...cleo, visits: 100, unknown: true }),
  })
  assert.deepEqual([response.status, await response.json()], [201, [{ name: 'Cleo', visits: 1 }]])
})

test('rows are sent as csv, and put under their key', async () => {
  const send = async (method, path, body, type) => {
    const response = await fetch(`${library.env.API_URL}/rest/v1/${path}`, {
      method,
      headers: {
        apikey: library.env.SERVICE_ROLE_KEY,
        authorization: `Bearer ${library.env.SERVICE_ROLE_KEY}`,
        'content-type': type,
        prefer: 'return=representation',
      },
      body,
    })
    return [response.status, await response.json()]
  }
  assert.deepEqual(await send('POST', 'readers?select=name,visits', 'email,name,visits\nd,Dora,3\ne,NULL,4', 'text/csv'), [
    201,
    [
      { name: 'Dora', visits: 3 },
      { name: null, visits: 4 },
    ],
  ])
  const put = JSON.stringify({ email: 'd', name: 'Dorothea' })
  assert.deepEqual(await send('PUT', 'readers?email=eq.d&select=name,visits', put, 'application/json'), [
    200,
    [{ name: 'Dorothea', visits: 3 }],
  ])
  const [status, { code }] = await send('PUT', 'readers?name=eq.Dora', put, 'application/json')
  assert.deepEqual([status, code], [405, 'PGRST105'])
})

const refusals = {
  'an unknown column': [
    () => readers().insert({ email: 'x', shoe: 42 }),
    400,
    {
      code: 'PGRST204',
      message: "Could not find the 'shoe' column of 'readers' in the schema cache",
      details: null,
      hint: null,
    },
  ],
  'a key that does not exist': [
    () => library.from('covers').insert({ book_id: 77, colour: 'grey' }),
    409,
    {
      code: '23503',
      message: 'insert or update on table "covers" violates foreign key constraint "covers_book_id_fkey"',
      details: 'Key (book_id)=(77) is not present in table "books".',
      hint: null,
    },
  ],
  'a value for a generated column': [
    () => library.from('books').insert({ title: 'x', author_id: 1, words: 'x' }),
    400,
    {
      code: '428C9',
      message: 'cannot insert a non-DEFAULT value into column "words"',
      details: 'Column "words" is a generated column.',
      hint: null,
    },
  ],
}

for (const [name, [request, status, error]] of Object.entries(refusals)) {
  test(`${name} is refused`, async () => assert.deepEqual(await answer(request()), { status, error }))
}
