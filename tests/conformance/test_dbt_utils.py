"""The cross-database macros."""

import pytest
from dbt.tests.adapter.utils.data_types.test_type_bigint import BaseTypeBigInt
from dbt.tests.adapter.utils.data_types.test_type_boolean import BaseTypeBoolean
from dbt.tests.adapter.utils.data_types.test_type_float import BaseTypeFloat
from dbt.tests.adapter.utils.data_types.test_type_int import BaseTypeInt
from dbt.tests.adapter.utils.data_types.test_type_numeric import BaseTypeNumeric
from dbt.tests.adapter.utils.data_types.test_type_string import BaseTypeString
from dbt.tests.adapter.utils.data_types.test_type_timestamp import BaseTypeTimestamp
from dbt.tests.adapter.utils.test_any_value import BaseAnyValue
from dbt.tests.adapter.utils.test_array_append import BaseArrayAppend
from dbt.tests.adapter.utils.test_array_concat import BaseArrayConcat
from dbt.tests.adapter.utils.test_array_construct import BaseArrayConstruct
from dbt.tests.adapter.utils.test_bool_or import BaseBoolOr
from dbt.tests.adapter.utils.test_cast import BaseCast
from dbt.tests.adapter.utils.test_cast_bool_to_text import BaseCastBoolToText
from dbt.tests.adapter.utils.test_concat import BaseConcat
from dbt.tests.adapter.utils.test_current_timestamp import (
    BaseCurrentTimestampAware,
)
from dbt.tests.adapter.utils.test_date import BaseDate
from dbt.tests.adapter.utils.test_date_spine import BaseDateSpine
from dbt.tests.adapter.utils.test_date_trunc import BaseDateTrunc
from dbt.tests.adapter.utils.test_dateadd import BaseDateAdd
from dbt.tests.adapter.utils.test_datediff import BaseDateDiff
from dbt.tests.adapter.utils.test_equals import BaseEquals
from dbt.tests.adapter.utils.test_escape_single_quotes import (
    BaseEscapeSingleQuotesQuote,
)
from dbt.tests.adapter.utils.test_except import BaseExcept
from dbt.tests.adapter.utils.test_generate_series import BaseGenerateSeries
from dbt.tests.adapter.utils.test_get_intervals_between import BaseGetIntervalsBetween
from dbt.tests.adapter.utils.test_get_powers_of_two import BaseGetPowersOfTwo
from dbt.tests.adapter.utils.test_hash import BaseHash
from dbt.tests.adapter.utils.test_intersect import BaseIntersect
from dbt.tests.adapter.utils.test_last_day import BaseLastDay
from dbt.tests.adapter.utils.test_length import BaseLength
from dbt.tests.adapter.utils.test_listagg import BaseListagg
from dbt.tests.adapter.utils.test_null_compare import BaseMixedNullCompare, BaseNullCompare
from dbt.tests.adapter.utils.test_position import BasePosition
from dbt.tests.adapter.utils.test_replace import BaseReplace
from dbt.tests.adapter.utils.test_right import BaseRight
from dbt.tests.adapter.utils.test_safe_cast import BaseSafeCast
from dbt.tests.adapter.utils.test_source_freshness_custom_info import BaseCalculateFreshnessMethod
from dbt.tests.adapter.utils.test_split_part import BaseSplitPart
from dbt.tests.adapter.utils.test_string_literal import BaseStringLiteral
from dbt.tests.adapter.utils.test_timestamps import BaseCurrentTimestamps
from dbt.tests.adapter.utils.test_validate_sql import BaseValidateSqlMethod

pytestmark = pytest.mark.exhaustive


class TestAnyValue(BaseAnyValue): ...


class TestArrayAppend(BaseArrayAppend): ...


class TestArrayConcat(BaseArrayConcat): ...


class TestArrayConstruct(BaseArrayConstruct): ...


class TestBoolOr(BaseBoolOr): ...


class TestCast(BaseCast): ...


class TestCastBoolToText(BaseCastBoolToText): ...


class TestConcat(BaseConcat): ...


class TestCurrentTimestampAware(BaseCurrentTimestampAware): ...


class TestDate(BaseDate): ...


class TestDateSpine(BaseDateSpine):
    @pytest.fixture(scope="class")
    def models(self, conformance_target):
        # the query asks for an adapter named 'postgres', whose dialect this is
        made = BaseDateSpine.models.__wrapped__(self)
        adapter_type = conformance_target["type"]
        return {name: text.replace("== 'postgres'", f"== '{adapter_type}'") for name, text in made.items()}


class TestDateTrunc(BaseDateTrunc): ...


class TestDateAdd(BaseDateAdd): ...


class TestDateDiff(BaseDateDiff): ...


class TestEquals(BaseEquals): ...


class TestEscapeSingleQuotesQuote(BaseEscapeSingleQuotesQuote): ...


class TestExcept(BaseExcept): ...


class TestGenerateSeries(BaseGenerateSeries): ...


class TestGetIntervalsBetween(BaseGetIntervalsBetween): ...


class TestGetPowersOfTwo(BaseGetPowersOfTwo): ...


class TestHash(BaseHash): ...


class TestIntersect(BaseIntersect): ...


class TestLastDay(BaseLastDay): ...


class TestLength(BaseLength): ...


class TestListagg(BaseListagg): ...


class TestMixedNullCompare(BaseMixedNullCompare): ...


class TestNullCompare(BaseNullCompare): ...


class TestPosition(BasePosition): ...


class TestReplace(BaseReplace): ...


class TestRight(BaseRight): ...


class TestSafeCast(BaseSafeCast): ...


class TestCalculateFreshnessMethod(BaseCalculateFreshnessMethod): ...


class TestSplitPart(BaseSplitPart): ...


class TestStringLiteral(BaseStringLiteral): ...


class TestCurrentTimestamps(BaseCurrentTimestamps): ...


class TestValidateSqlMethod(BaseValidateSqlMethod): ...


class TestTypeBigInt(BaseTypeBigInt): ...


class TestTypeBoolean(BaseTypeBoolean): ...


class TestTypeFloat(BaseTypeFloat): ...


class TestTypeInt(BaseTypeInt): ...


class TestTypeNumeric(BaseTypeNumeric): ...


class TestTypeString(BaseTypeString): ...


class TestTypeTimestamp(BaseTypeTimestamp): ...
