module workbench-go-connector

go 1.19
