BEGIN TRANSACTION;
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES trial (id), series TEXT NOT NULL, start INTEGER NOT NULL, data BLOB NOT NULL
);
INSERT INTO "chunk" VALUES(1,1,'loss',0,X'00002040000000400000803F0000003F');
INSERT INTO "chunk" VALUES(2,1,'lr',0,X'0000003ECDCCCC3DCDCC4C3D00000000');
INSERT INTO "chunk" VALUES(3,1,'grad_norm',0,X'0000803F0000003F');
INSERT INTO "chunk" VALUES(4,1,'update_ratio',0,X'0000803E0000003E');
INSERT INTO "chunk" VALUES(5,1,'probe_step',0,X'00000000000000000300000000000000');
INSERT INTO "chunk" VALUES(6,1,'eval_step',0,X'0400000000000000');
INSERT INTO "chunk" VALUES(7,1,'eval_loss',0,X'0000403F');
INSERT INTO "chunk" VALUES(8,1,'eval_metrics/accuracy',0,X'0000603F');
INSERT INTO "chunk" VALUES(9,2,'loss',0,X'000020400000C07F');
INSERT INTO "chunk" VALUES(10,2,'lr',0,X'0000804000004040');
INSERT INTO "chunk" VALUES(11,2,'grad_norm',0,X'0000803F');
INSERT INTO "chunk" VALUES(12,2,'update_ratio',0,X'00000041');
INSERT INTO "chunk" VALUES(13,2,'probe_step',0,X'0000000000000000');
INSERT INTO "chunk" VALUES(14,3,'loss',0,X'000020400000003F');
INSERT INTO "chunk" VALUES(15,3,'lr',0,X'0000803ECDCC4C3E');
INSERT INTO "chunk" VALUES(16,3,'eval_step',0,X'0200000000000000');
INSERT INTO "chunk" VALUES(17,3,'eval_loss',0,X'0000003F');
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "fact" VALUES('metric','"val_loss"');
INSERT INTO "fact" VALUES('task','"old"');
CREATE TABLE trial (
    id INTEGER PRIMARY KEY,
    batch_size INTEGER NOT NULL, peak_lr REAL NOT NULL, schedule TEXT NOT NULL, seed INTEGER NOT NULL,
    total_steps INTEGER NOT NULL, stop_at INTEGER NOT NULL,
    status TEXT NOT NULL, diverged_at INTEGER,
    initial_train_loss REAL, initial_val_loss REAL, train_loss REAL, val_loss REAL,
    metrics TEXT NOT NULL, seconds REAL NOT NULL, eval_seconds REAL NOT NULL, examples INTEGER NOT NULL, engine TEXT NOT NULL,
    UNIQUE (batch_size, peak_lr, schedule, seed, total_steps, stop_at)
);
INSERT INTO "trial" VALUES(1,8,0.125,'cosine',0,4,4,'finished',NULL,2.5,2.75,0.5,0.75,'{"accuracy": 0.875}',1.5,0.25,32,'loop');
INSERT INTO "trial" VALUES(2,8,4.0,'cosine',0,4,4,'diverged',1,2.5,2.75,NULL,NULL,'{"accuracy": null}',0.5,0.25,16,'loop');
INSERT INTO "trial" VALUES(3,8,0.25,'cosine',0,4,2,'finished',NULL,2.5,NULL,0.5,NULL,'{}',0.5,0.25,16,'loop');
CREATE INDEX chunk_of_trial ON chunk (trial, series, start);
COMMIT;
PRAGMA user_version = 2;
