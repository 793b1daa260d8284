-- Run in the schema whose tables are distributed.
SELECT atoll.distribute_table('item', 'id', 8);
SELECT atoll.distribute_table('part', 'item_id', colocate_with => 'item');
SELECT atoll.distribute_table('word', 'w', 6);
SELECT atoll.distribute_table('uid', 'u', 5);
SELECT atoll.distribute_table('small', 'k', 4);
SELECT atoll.distribute_table('kv', 'k', 7);
SELECT atoll.distribute_table('ranged', 'k', method => 'range', splits => '{-300,0,500,1200}');
SELECT atoll.distribute_table('tree', 'id', 3);
