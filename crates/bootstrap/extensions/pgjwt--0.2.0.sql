-- JSON Web Tokens with a shared secret: the functions of the extension pgjwt. The same file is the extension's script
-- where we own the server's files, and is run as it is where we do not.

create or replace function extensions.url_encode(data bytea) returns text
language sql immutable strict parallel safe
as $$
  select translate(encode(data, 'base64'), E'+/=\n', '-_')
$$;

create or replace function extensions.url_decode(data text) returns bytea
language sql immutable strict parallel safe
as $$
  -- base64 without its padding: fill up to a multiple of four
  select decode(rpad(translate(data, '-_', '+/'), (length(data) + 3) / 4 * 4, '='), 'base64')
$$;

create or replace function extensions.algorithm_sign(signables text, secret text, algorithm text) returns text
language sql immutable parallel safe
as $$
  -- an algorithm that is not in the list gives null, never an unsigned token
  select extensions.url_encode(extensions.hmac(
    signables,
    secret,
    case algorithm when 'HS256' then 'sha256' when 'HS384' then 'sha384' when 'HS512' then 'sha512' end
  ))
$$;

create or replace function extensions.sign(payload json, secret text, algorithm text default 'HS256') returns text
language sql immutable parallel safe
as $$
  select signables || '.' || extensions.algorithm_sign(signables, secret, algorithm)
  from (
    select extensions.url_encode(convert_to('{"alg":"' || algorithm || '","typ":"JWT"}', 'utf8'))
      || '.' || extensions.url_encode(convert_to(payload::text, 'utf8'))
  ) as token (signables)
$$;

create or replace function extensions.try_cast_double(inp text) returns double precision
language plpgsql immutable parallel safe
as $$
begin
  return inp::double precision;
exception
  when invalid_text_representation or numeric_value_out_of_range then
    return null;
end
$$;

create or replace function extensions.verify(token text, secret text, algorithm text default 'HS256')
returns table (header json, payload json, valid boolean)
language sql stable parallel safe
as $$
  select
    jwt.header,
    jwt.payload,
    coalesce(jwt.signature = extensions.algorithm_sign(jwt.signables, secret, algorithm), false)
      and (jwt.not_before is null or to_timestamp(jwt.not_before) <= current_timestamp)
      and (jwt.expires is null or to_timestamp(jwt.expires) > current_timestamp)
  from (
    select
      claims.header,
      claims.payload,
      parts[1] || '.' || parts[2] as signables,
      parts[3] as signature,
      extensions.try_cast_double(claims.payload ->> 'nbf') as not_before,
      extensions.try_cast_double(claims.payload ->> 'exp') as expires
    from string_to_array(token, '.') as parts
    cross join lateral (
      select
        convert_from(extensions.url_decode(parts[1]), 'utf8')::json as header,
        convert_from(extensions.url_decode(parts[2]), 'utf8')::json as payload
    ) as claims
  ) as jwt
$$;
