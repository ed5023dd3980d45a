-- A small shop: four related tables, about 100,000 rows, many types.
CREATE TYPE order_status AS ENUM ('draft', 'paid', 'shipped', 'returned');

CREATE TABLE customers (
    id bigint PRIMARY KEY,
    email text NOT NULL,
    country char(2) NOT NULL,
    deleted boolean NOT NULL,
    born date,
    preferences jsonb,
    last_ip inet,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON customers (changed_at);
INSERT INTO customers
SELECT n, 'customer' || n || '@example.org', (ARRAY['DE', 'FR', 'IN', 'US'])[1 + n % 4], n % 50 = 0,
       CASE WHEN n % 10 > 0 THEN DATE '1950-01-01' + (n * 7 % 20000)::int END,
       jsonb_build_object('newsletter', n % 3 = 0, 'name', 'Zoë ' || n),
       ('10.0.' || n % 256 || '.' || n % 250)::inet
FROM generate_series(1, 5000) n;

CREATE TABLE products (
    id int PRIMARY KEY,
    sku uuid NOT NULL,
    name text NOT NULL,
    price numeric(12, 2) NOT NULL,
    weight_kg real,
    tags text[],
    picture bytea,
    warranty interval
);
INSERT INTO products
SELECT n, md5('sku' || n)::uuid, 'Product № ' || n || ' ☕', (n * 137 % 100000) / 100.0, n / 7.0,
       ARRAY['tag' || n % 5, NULL, 'sale'], decode(md5(n::text), 'hex'), make_interval(months => n % 36)
FROM generate_series(1, 500) n;

CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    status order_status NOT NULL,
    ordered_at timestamptz NOT NULL,
    shipped_on date,
    total numeric(14, 2) NOT NULL,
    card_number text,
    note text
);
INSERT INTO orders
SELECT n, 1 + n % 5000, (ARRAY['draft', 'paid', 'shipped', 'returned'])[1 + n % 4]::order_status,
       TIMESTAMPTZ '2024-01-01 00:00:00+00' + n * INTERVAL '13 minutes',
       CASE WHEN n % 4 > 1 THEN DATE '2024-01-01' + (n / 110)::int END,
       (n * 7919 % 1000000) / 100.0, '4000' || lpad(n::text, 12, '0'),
       CASE n % 20 WHEN 0 THEN '' WHEN 1 THEN 'Grüße 🎁' END
FROM generate_series(1, 35000) n;

CREATE TABLE order_items (
    order_id bigint REFERENCES orders,
    line smallint,
    product_id int NOT NULL REFERENCES products,
    quantity int NOT NULL,
    discount double precision,
    PRIMARY KEY (order_id, line)
);
INSERT INTO order_items
SELECT 1 + n / 2, n % 2, 1 + n % 500, 1 + n % 9, CASE n % 11 WHEN 0 THEN 0.15 END
FROM generate_series(0, 59999) n;
